/**
 * CRC-32 (IEEE), the hash of goma's ring.
 *
 * A checksum and not a good hash: similar texts come out close to each other. It is here so that keys stay where a ring
 * made with it has put them.
 */
import type { Algorithm } from "./Hash64.ts"

const table = Int32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = (byte >>> 1) ^ ((byte & 1) * 0xedb88320)
  return byte
})

/**
 * Hashes bytes to 32 bits.
 *
 * @category algorithms
 * @since 0.1.0
 */
export const hash: Algorithm = (bytes, length, into) => {
  let crc = -1
  for (let i = 0; i < length; i++) crc = table[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8)
  into.high = ~crc
  into.low = 0
}
