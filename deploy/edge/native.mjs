// The native signature at a CDN's edge: WebCrypto only, no dependencies. The format is that of docs/architecture.md.
//
//   const keys = await importKeys({ k1: "43 characters of base64url" });
//   const verdict = await verify({ method, target, now, address }, { audience: "shop", keys, maxLife: 86400 });
//   verdict.allowed, verdict.reason, verdict.expires
//
// `target` is the raw path and query as they came; nothing of it is decoded before it is verified. HMAC-SHA-256 keys only.
// What an edge cannot know is left to the gateway: presets and operations, key dates, revocation, single use.

const LONGEST = 8000;
const MOST_PAIRS = 64;
const RESERVED_FOR_LATER = new Set(["sid", "geo", "cid", "jti", "once"]);
const BYTE = "(?:[A-Za-z0-9._~-]|%(?:2[0-9A-CF]|3[A-F]|40|5[B-E]|60|7[B-D]|[89A-F][0-9A-F]))";
const CANONICAL_PAIR = new RegExp(`^${BYTE}+=${BYTE}*$`);
const PATH = /^\/[!-~]*$/;
const BROKEN_PATH = /[\\#?]|%(?![0-9A-Fa-f]{2})|%(?:[01][0-9A-Fa-f]|7[Ff]|2[Ff]|5[Cc])/;
const TEN_DIGITS = /^[0-9]{10}$/;
const SIGNATURE = /^[A-Za-z0-9_-]{43}$/;

/** Secrets by key id, as keys.yaml has them, made ready for `verify`. */
export async function importKeys(secrets) {
  const keys = new Map();
  for (const [id, secret] of Object.entries(secrets)) {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    keys.set(id, await crypto.subtle.importKey("raw", fromBase64url(secret), algorithm, false, ["verify"]));
  }
  return keys;
}

/** Whether a request may be answered: { allowed, status, reason, expires }. `now` is in unix seconds. */
export async function verify({ method, target, now, address }, { audience, keys, maxLife }) {
  if (method !== "GET" && method !== "HEAD") return refused(405, "method_not_allowed");
  const mark = target.indexOf("?");
  const path = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? "" : target.slice(mark + 1);
  if (target.length > LONGEST || !cleanPath(path)) return refused(400, "target_malformed");

  const raw = query.split("&");
  const pairs = new Map();
  for (const pair of raw) {
    const cut = pair.indexOf("=");
    const name = decoded(cut < 0 ? pair : pair.slice(0, cut));
    // The same name twice would leave open which of them a later reader obeys.
    if (name === null || pairs.has(name)) return refused(400, "target_malformed");
    pairs.set(name, cut < 0 ? "" : pair.slice(cut + 1));
  }
  if (!pairs.has("sig")) return refused(401, "signature_missing");
  // One spelling a URL, so that caches and revocation know it again.
  if (raw.length > MOST_PAIRS || !raw.every((pair) => CANONICAL_PAIR.test(pair))) return refused(400, "target_malformed");
  if ([...pairs.keys()].some((name) => RESERVED_FOR_LATER.has(name))) return refused(400, "parameter_unknown");
  if (![...pairs.values()].every((value) => decoded(value) !== null)) return refused(400, "target_malformed");

  const expires = pairs.get("exp") ?? "";
  const notBefore = pairs.get("nbf");
  if (!TEN_DIGITS.test(expires)) return refused(400, "parameter_invalid");
  if (notBefore !== undefined && !(TEN_DIGITS.test(notBefore) && notBefore < expires)) {
    return refused(400, "parameter_invalid");
  }
  if (pairs.has("th") && !pairs.get("preset")) return refused(400, "parameter_invalid");
  const key = keys.get(pairs.get("kid"));
  const signature = pairs.get("sig");
  if (key === undefined || !SIGNATURE.test(signature)) return refused(403, "signature_invalid");
  const signed = raw.filter((pair) => !pair.startsWith("sig=")).sort().join("&");
  const message = new TextEncoder().encode(`countermark-v1\nread\n${audience}\n${path}\n${signed}`);
  const bytes = fromBase64url(signature);
  // 43 characters hold two bits more than 32 bytes: only one spelling of them counts.
  if (toBase64url(bytes) !== signature || !(await crypto.subtle.verify("HMAC", key, bytes, message))) {
    return refused(403, "signature_invalid");
  }

  if (notBefore !== undefined && now < Number(notBefore)) return refused(403, "not_yet_valid");
  if (now > Number(expires)) return refused(410, "expired");
  if (Number(expires) - now > maxLife) return refused(403, "lifetime_exceeded");
  const bound = pairs.get("ip");
  // Single addresses in one spelling; a network that cannot be judged here opens nothing here.
  if (bound !== undefined && decoded(bound) !== address) return refused(403, "address_mismatch");
  return { allowed: true, status: 200, reason: "", expires: Number(expires) };
}

function refused(status, reason) {
  return { allowed: false, status, reason, expires: 0 };
}

function cleanPath(path) {
  if (!PATH.test(path) || path.startsWith("//") || BROKEN_PATH.test(path)) return false;
  const segments = decoded(path)?.split("/").slice(1);
  if (segments === undefined || segments.includes(".") || segments.includes("..")) return false;
  return path === "/" || !segments.includes("");
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

function fromBase64url(text) {
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
}

function toBase64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
