// What the scan of a unit is answered with: the twin of agent/core/rules.py, rule by rule. The order
// of precedence is told there; tests/web/test_pda_rules.py compares both on every case of the table.

/** @typedef {"ok" | "warn" | "again" | "ask" | "stop"} Severity */
/** @typedef {{word: string, severity: Severity, args: Record<string, string | number>}} Verdict */
/** @typedef {{product: string, lot: string, pieces: number, done: number}} Line */
/**
 * @typedef {object} Doc
 * @property {string} status
 * @property {boolean} free
 * @property {boolean} asn
 * @property {boolean} blind
 * @property {string} party
 * @property {string} other
 * @property {string} location
 * @property {string[]} territories
 * @property {string} channel
 * @property {string} fifo
 * @property {Line[]} lines
 */
/**
 * @typedef {object} Good
 * @property {string} level
 * @property {string} product
 * @property {string} lot
 * @property {number} pieces
 * @property {string} state
 * @property {boolean} mine
 * @property {string} location
 * @property {boolean} held
 * @property {boolean} broken
 * @property {boolean} expected
 * @property {string} sent_to
 * @property {string} to
 * @property {number} when
 * @property {string} claimed
 * @property {string} older
 * @property {string} territory
 * @property {string} channel
 * @property {[string, string, number][]} mixed
 */
/**
 * @typedef {object} Case
 * @property {string} op
 * @property {Doc} doc
 * @property {Good | null} good
 * @property {string[]} operations
 * @property {boolean} remove
 * @property {boolean} code
 * @property {string} seen
 * @property {boolean} named
 * @property {string} answer
 */
/** @typedef {[string] | [string, Record<string, string | number>]} Answer */

/** @type {Record<string, Severity>} */
export const WORDS = {
  accepted: "ok",
  accepted_implicit: "ok",
  accepted_older: "warn",
  removed: "ok",
  not_on_document: "again",
  duplicate: "again",
  inside_scanned: "again",
  around_scanned: "ask",
  not_expected: "ask",
  unknown: "stop",
  not_a_code: "stop",
  void: "stop",
  destroyed: "stop",
  sampled: "stop",
  rejected: "stop",
  empty: "stop",
  unfinished: "stop",
  broken: "stop",
  shipped_already: "stop",
  not_here: "stop",
  claimed: "stop",
  wrong_product: "stop",
  wrong_lot: "stop",
  over_quantity: "stop",
  not_for_party: "stop",
  older_first: "stop",
  held: "stop",
  closed: "stop",
  not_allowed: "stop",
};

const FINAL = ["void", "destroyed", "sampled", "rejected", "empty", "unfinished"];
const INWARD = ["receive", "return_in"];

/**
 * The answer to a scan.
 * @param {Case} it
 * @returns {Verdict}
 */
export function judge(it) {
  const [word, args = {}] = decide(it);
  return { word, severity: WORDS[word], args };
}

/**
 * @param {Case} it
 * @returns {Answer}
 */
function decide(it) {
  const { op, doc, good, seen } = it;
  if (!it.operations.includes(op)) return ["not_allowed", { op }];
  if (!it.code) return ["not_a_code"];
  if (doc.status !== "open") return ["closed", { status: doc.status }];
  if (it.remove) {
    if (seen === "same") return ["removed"];
    return [seen === "inside" ? "inside_scanned" : "not_on_document"];
  }
  if (seen === "same") return ["duplicate"];
  if (seen === "inside") return ["inside_scanned"];
  if (seen === "around" && !says(it, "around_scanned")) return ["around_scanned"];
  if (!good) return [nothingKnown(it)];
  if (good.state === "elsewhere") {
    return [INWARD.includes(op) || op === "count" ? "not_for_party" : "unknown"];
  }
  if (FINAL.includes(good.state)) return [good.state];
  if (op === "count") return ["accepted"];
  if (good.claimed) return ["claimed", { document: good.claimed }];
  if (op === "receive") return receive(it, good);
  if (op === "return_in") return returnIn(it, good);
  return outward(it, good);
}

/**
 * Whether a person answered this question.
 * @param {Case} it
 * @param {string} word
 */
function says(it, word) {
  return it.answer.split(" ").includes(word);
}

/** @param {Case} it */
function nothingKnown(it) {
  const { op, doc, named } = it;
  if (op === "receive" && doc.blind && named) return "accepted";
  if (INWARD.includes(op) || op === "count") {
    return named && says(it, "not_expected") ? "accepted" : "not_expected";
  }
  return op === "ship" && doc.free && named ? "accepted_implicit" : "unknown";
}

/**
 * @param {Case} it
 * @param {Good} good
 * @returns {Answer}
 */
function receive(it, good) {
  const { doc } = it;
  if (good.state === "in_transit" && good.mine && !good.expected) return shipped(good);
  if (good.state === "stock") return ["duplicate", { location: good.location }];
  if (good.sent_to && good.sent_to !== doc.party) return ["not_for_party", { to: good.sent_to }];
  if (doc.asn && !good.expected && !says(it, "not_expected")) return ["not_expected"];
  const wrong = doc.asn ? null : againstLines(doc, good);
  if (!wrong) return ["accepted"];
  if (wrong[0] !== "over_quantity") return wrong;
  return says(it, "not_expected") ? ["accepted"] : ["not_expected", wrong[1] ?? {}];
}

/**
 * @param {Case} it
 * @param {Good} good
 * @returns {Answer}
 */
function returnIn(it, good) {
  if (good.state === "stock") return ["duplicate", { location: good.location }];
  const wrong = againstLines(it.doc, good);
  if (wrong) return wrong;
  const known = good.state === "in_transit" || good.state === "expected";
  return [known ? "accepted" : "accepted_implicit"];
}

/**
 * @param {Case} it
 * @param {Good} good
 * @returns {Answer}
 */
function outward(it, good) {
  const { op, doc } = it;
  const stock = good.state === "stock";
  if (good.state === "in_transit" && good.mine) return shipped(good);
  if (stock && doc.location && good.location !== doc.location) {
    return ["not_here", { location: good.location }];
  }
  if (good.broken) return ["broken"];
  if (good.held && op === "ship") return ["held"];
  if (op === "ship") {
    const { territory, channel } = good;
    if (!stock && good.sent_to && good.sent_to !== doc.party) {
      return ["not_for_party", { to: good.sent_to }];
    }
    if (territory && doc.territories.length && !doc.territories.includes(territory)) {
      return ["not_for_party", { territory }];
    }
    if (channel && doc.channel && channel !== doc.channel) return ["not_for_party", { channel }];
  }
  const wrong = againstLines(doc, good);
  if (wrong) return wrong;
  if (op === "ship" && good.older && doc.fifo === "block") {
    return ["older_first", { lot: good.older }];
  }
  if (op === "ship" && good.older && doc.fifo === "warn") {
    return ["accepted_older", { lot: good.older }];
  }
  return [stock ? "accepted" : "accepted_implicit"];
}

/**
 * @param {Good} good
 * @returns {Answer}
 */
function shipped(good) {
  return ["shipped_already", { to: good.to, when: good.when }];
}

/**
 * What the lines of the document say against the unit.
 * @param {Doc} doc
 * @param {Good} good
 * @returns {Answer | null}
 */
function againstLines(doc, good) {
  if (!doc.lines.length) return null;
  /** @type {[string, string, number][]} */
  const content = good.mixed.length ? good.mixed : [[good.product, good.lot, good.pieces]];
  for (const [product, lot, pieces] of content) {
    const named = doc.lines.filter((line) => line.product === product);
    if (!named.length) return ["wrong_product", { product }];
    const fitting = named.filter((line) => line.lot === "" || line.lot === lot);
    if (!fitting.length) return ["wrong_lot", { lot, wanted: named[0].lot }];
    let left = 0;
    for (const line of fitting) left += Math.max(0, line.pieces - line.done);
    if (pieces > left) return ["over_quantity", { product, left, pieces }];
  }
  return null;
}
