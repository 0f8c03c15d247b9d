/**
 * What each side of a connection announces of itself.
 *
 * @see https://www.rfc-editor.org/rfc/rfc9113#section-6.5
 */
import { ConnectionError, ErrorCode } from "./ErrorCode.ts"
import { defaultMaxFrameSize, max31, readU32 } from "./Frame.ts"

/** The identifiers of settings. */
export const SettingId = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6
} as const

/** What a peer has announced. */
export interface PeerSettings {
  headerTableSize: number
  maxConcurrentStreams: number
  initialWindowSize: number
  maxFrameSize: number
  maxHeaderListSize: number
}

/** What holds before a peer has announced anything. */
export const initial = (): PeerSettings => ({
  headerTableSize: 4096,
  maxConcurrentStreams: Infinity,
  initialWindowSize: 65_535,
  maxFrameSize: defaultMaxFrameSize,
  maxHeaderListSize: Infinity
})

const check = (id: number, value: number, fromServer: boolean): void => {
  if (id === SettingId.ENABLE_PUSH && (value > 1 || (fromServer && value === 1))) {
    throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `SETTINGS_ENABLE_PUSH is ${value}`)
  }
  if (id === SettingId.INITIAL_WINDOW_SIZE && value > max31) {
    throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, `SETTINGS_INITIAL_WINDOW_SIZE is ${value}`)
  }
  if (id === SettingId.MAX_FRAME_SIZE && (value < defaultMaxFrameSize || value > 2 ** 24 - 1)) {
    throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `SETTINGS_MAX_FRAME_SIZE is ${value}`)
  }
}

const fieldOf: Readonly<Record<number, keyof PeerSettings>> = {
  [SettingId.HEADER_TABLE_SIZE]: "headerTableSize",
  [SettingId.MAX_CONCURRENT_STREAMS]: "maxConcurrentStreams",
  [SettingId.INITIAL_WINDOW_SIZE]: "initialWindowSize",
  [SettingId.MAX_FRAME_SIZE]: "maxFrameSize",
  [SettingId.MAX_HEADER_LIST_SIZE]: "maxHeaderListSize"
}

/** Takes a payload of whole settings over into `settings`. What is unknown is ignored. Throws `ConnectionError`. */
export const apply = (settings: PeerSettings, payload: Uint8Array, fromServer: boolean): void => {
  for (let at = 0; at < payload.length; at += 6) {
    const id = payload[at]! * 256 + payload[at + 1]!
    const value = readU32(payload, at + 2)
    check(id, value, fromServer)
    const field = fieldOf[id]
    if (field !== undefined) settings[field] = value
  }
}
