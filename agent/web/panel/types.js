// The shape of the live feed (docs/live-feed.md), for the editor and for `tsc --checkJs`.

/** @typedef {Record<string, string>} Names */
/** @typedef {{number: string, sku: string, names: Names, lot: string, target: number, level: string, status: string}} Order */
/** @typedef {{key: string | null, by: string | null, agent: boolean, device: string | null}} Cause */
/** @typedef {{number: string, sku: string, lot: string, target: number, state: string}} Startable */
/** @typedef {{id: string, kind: string, state: string, latency_ms: number | null, last: number | null, error: string | null, quality?: Quality | null, warnings?: string[], losses?: number, faults?: number, said?: Said | null}} DeviceState */
/** @typedef {{key: string, args: Record<string, any>}} Said */
/** @typedef {{letter: string, score: number, worst: string, low: boolean, limit: string, samples: number, scores: Record<string, number>, points: [number, number][]}} Quality */
/** @typedef {{id: string, priority: number, key: string, args: Record<string, string>, since: number, acked: boolean}} Alarm */
/** @typedef {{s: "good" | "bad" | "wait" | "unknown", code: string | null, at: number | null, why: string | null}} Cell */
/** @typedef {{level: string, number: number | null, count: number, of: number, columns: number, cells: Cell[]}} Current */
/** @typedef {{s: "good" | "no_read" | "duplicate" | "wait", x: number, y: number, w: number, h: number}} Mark */
/** @typedef {{id: string, frame: number, at: number, good: number, no_read: number, waiting: number, width: number, height: number, marks: Mark[]}} Camera */
/** @typedef {{code: string, level: string, count: number, of: number, integrity: string, at: number}} Sealed */
/** @typedef {{from: number, to: number, target: number | null, points: [number, number][]}} Trend */

/**
 * @typedef {object} Snapshot
 * @property {number} v
 * @property {number} at
 * @property {{id: string, names: Names}} line
 * @property {{packml: string, since: number | null, cause?: Cause | null}} state
 * @property {Order | null} order
 * @property {{by: string, reason: string, left_s: number, unseen: Record<string, number>} | null} [bypass]
 * @property {{by: string, order: string, seen: Record<string, number>} | null} [test]
 * @property {Startable[]} orders
 * @property {{ok: number, all: number, list: DeviceState[]}} devices
 * @property {{events: number | null, oldest: number | null, connected?: boolean}} backlog
 * @property {string | null} operator
 * @property {string | null} shift
 * @property {Alarm[]} alarms
 * @property {number | null} good
 * @property {number | null} plan
 * @property {{count: number | null, limit_pct: number | null, reasons: Record<string, number>}} rejected
 * @property {{count: number | null, limit_pct: number | null}} no_read
 * @property {{per_min: number | null, low: number | null, high: number | null, unit: string | null}} speed
 * @property {{value: number | null, stops: number | null, stopped_s: number | null}} oee
 * @property {Current | null} current
 * @property {Camera | null} camera
 * @property {Trend | null} trend
 * @property {Sealed[]} sealed
 */

export {};
