import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { AffinityTable, type AffinityTarget } from "../../src/affinity/AffinityTable.ts"

class Room implements AffinityTarget {
  readonly name: string
  isReady = true
  keys = 0

  constructor(name: string) {
    this.name = name
  }
}

/** Three places, of which the ready one with the fewest keys is chosen. */
const open = (fallsBack = true) => {
  const rooms = ["a", "b", "c"].map((name) => new Room(name))
  const [a, b, c] = rooms as [Room, Room, Room]
  const table = new AffinityTable<Room>({ fallsBack })
  const choose = (except: Room | undefined) =>
    rooms.filter((room) => room.isReady && room !== except).toSorted((a, b) => a.keys - b.keys)[0]
  let now = 0
  const place = (key: string) => table.resolve(key, now, choose)?.name
  return { a, b, c, place, rooms, table, pass: (millis: number) => (now += millis) }
}

const nobody = (): boolean => false

describe("a key", () => {
  it("is bound by its first call and stays", () => {
    const { place, rooms } = open()
    assert.deepStrictEqual(
      ["x", "y", "z", "x", "y"].map((key) => place(key)),
      ["a", "b", "c", "a", "b"]
    )
    assert.deepStrictEqual(
      rooms.map(({ keys }) => keys),
      [1, 1, 1]
    )
  })

  it("that is bound again moves, and is counted where it is", () => {
    const { a, b, place, table } = open()
    place("x")
    table.bind("x", b, 0)
    assert.deepStrictEqual([a.keys, b.keys, table.size, place("x")], [0, 1, 1, "b"])
  })

  it("that is unbound is bound anew, and unbinding what is not bound does nothing", () => {
    const { a, place, table } = open()
    place("x")
    table.unbind("x")
    table.unbind("x")
    assert.deepStrictEqual([a.keys, table.size], [0, 0])
    assert.strictEqual(place("x"), "a")
  })

  it("that is to move has another home from its next call on, if there is one then", () => {
    const { a, b, c, place, table } = open()
    place("x")
    table.move("x")
    assert.deepStrictEqual([place("x"), place("x"), a.keys, b.keys], ["b", "b", 0, 1])
    table.move("x")
    a.isReady = c.isReady = false
    assert.strictEqual(place("x"), "b")
    c.isReady = true
    assert.deepStrictEqual([place("x"), place("x")], ["c", "c"])
    table.move("unknown")
    assert.strictEqual(table.size, 1)
  })
})

describe("while its home is not ready", () => {
  it("a key goes to one other, which is counted, and comes home, which is not", () => {
    const { a, b, place, table } = open()
    place("x")
    a.isReady = false
    assert.strictEqual(place("x"), "b")
    // Busier than others now, and still the same.
    b.keys += 5
    assert.deepStrictEqual([place("x"), table.fallbacks], ["b", 2])
    a.isReady = true
    assert.deepStrictEqual([place("x"), table.fallbacks, table.failedFallbacks], ["a", 2, 0])
    assert.strictEqual(a.keys, 1)
  })

  it("it goes to a third if the other is lost too, and nowhere if there is none, which is counted", () => {
    const { a, b, c, place, table } = open()
    place("x")
    a.isReady = false
    assert.strictEqual(place("x"), "b")
    b.isReady = false
    assert.strictEqual(place("x"), "c")
    c.isReady = false
    assert.deepStrictEqual([place("x"), table.fallbacks, table.failedFallbacks], [undefined, 2, 1])
    b.isReady = true
    assert.strictEqual(place("x"), "b")
  })

  it("it goes nowhere, and is not counted, if it may not go elsewhere", () => {
    const { a, place, table } = open(false)
    place("x")
    a.isReady = false
    assert.deepStrictEqual([place("x"), table.fallbacks, table.failedFallbacks], [undefined, 0, 0])
  })
})

describe("places that go and keys nobody uses", () => {
  it("keys of a place that goes are free, except those that are held", () => {
    const { a, place, table } = open()
    place("x")
    table.bind("held", a, 0)
    table.release(a, (key) => key === "held")
    assert.deepStrictEqual([a.keys, table.size, table.home("held"), table.home("x")], [1, 1, a, undefined])
  })

  it("must not happen: a stand-in is found after it has gone", () => {
    const { a, b, place, table } = open()
    place("x")
    a.isReady = false
    assert.strictEqual(place("x"), "b")
    // Gone from the list, though it still answers: what is remembered is the place and not its number in the list.
    table.release(b, nobody)
    b.keys = 100
    assert.strictEqual(place("x"), "c")
  })

  it("a key is forgotten when it was not used since then, and each use counts", () => {
    const { pass, place, table } = open()
    place("live")
    place("expiring")
    place("held")
    pass(100)
    place("live")
    pass(150)
    table.forget(50, (key) => key === "held")
    assert.deepStrictEqual(
      ["live", "expiring", "held"].map((key) => table.home(key)?.name),
      ["a", undefined, "c"]
    )
  })
})

describe("whatever happens", () => {
  const Which = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2 }))
  const Step = Schema.Union([
    Schema.Struct({ place: Which }),
    Schema.Struct({ bind: Which, to: Which }),
    Schema.Struct({ unbind: Which }),
    Schema.Struct({ move: Which }),
    Schema.Struct({ flip: Which }),
    Schema.Struct({ release: Which }),
    Schema.Struct({ forget: Which })
  ])

  it.prop(
    "keys are counted where they are, and calls go to places that are ready",
    { steps: Schema.Array(Step) },
    ({ steps }) => {
      const { place, rooms, table } = open()
      let now = 0
      for (const step of steps) {
        now++
        if ("place" in step) {
          const where = place(`${step.place}`)
          assert.strictEqual(
            where !== undefined,
            rooms.some(({ isReady }) => isReady)
          )
          if (where !== undefined) assert.isTrue(rooms.find(({ name }) => name === where)!.isReady)
        } else if ("bind" in step) table.bind(`${step.bind}`, rooms[step.to]!, now)
        else if ("unbind" in step) table.unbind(`${step.unbind}`)
        else if ("move" in step) table.move(`${step.move}`)
        else if ("flip" in step) rooms[step.flip]!.isReady = !rooms[step.flip]!.isReady
        else if ("release" in step) table.release(rooms[step.release]!, nobody)
        else table.forget(now - step.forget, nobody)
        for (const room of rooms) {
          assert.strictEqual(room.keys, ["0", "1", "2"].filter((key) => table.home(key) === room).length)
        }
      }
    }
  )
})
