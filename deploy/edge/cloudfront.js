// A CloudFront Function (runtime cloudfront-js-2.0, viewer request) that answers only validly signed native URLs and gives all
// signatures of one picture one cache key. The format is that of docs/architecture.md. HMAC-SHA-256 keys only.
//
// Its KeyValueStore holds one entry, `countermark`, as JSON of 1 KB at most:
//   {"audience": "shop", "maxLife": 604800, "countries": true, "keys": {"k1": "43 characters of base64url"}}
// Cache policy: the headers Countermark-Cache-Key and Accept, and no query strings. Origin request policy: all query strings,
// and CloudFront-Viewer-Country where URLs are bound to countries; only then say `countries` here.
//
// The URL itself stays as the viewer sent it, because the gateway verifies it again whenever the cache has no answer. What an
// edge cannot know is left to the gateway: presets and operations, key dates, revocation. What opens one time only (once) or
// lives no longer than a session (sid) is refused as `ask_the_gateway`: give such URLs a behaviour without this function.

import crypto from "crypto";
import cf from "cloudfront";

const LONGEST = 8000;
const MOST_PAIRS = 64;
const CREDENTIALS = ["exp", "nbf", "iat", "kid", "ip", "geo", "cid", "uid", "ctx", "jti", "sig"];
const ASK_THE_GATEWAY = ["sid", "once"];
// Facts that are texts, as they stand in a URL: what the gateway would refuse must not pass here.
const FACTS = {
  cid: /^[A-Za-z0-9._-]{1,64}$/,
  jti: /^[A-Za-z0-9_-]{8,64}$/,
  th: /^[A-Za-z0-9_-]{8,64}$/,
  geo: /^[A-Z]{2}(?:\.[A-Z]{2}){0,249}$/,
};
const LONGEST_TEXT = 128;
const AHEAD = 60; // seconds that an issuer's clock may be ahead of ours
const BYTE = "(?:[A-Za-z0-9._~-]|%(?:2[0-9A-CF]|3[A-F]|40|5[B-E]|60|7[B-D]|[89A-F][0-9A-F]))";
const CANONICAL_PAIR = new RegExp(`^${BYTE}+=${BYTE}*$`);
const PATH = /^\/[!-~]*$/;
const BROKEN_PATH = /[\\#?]|%(?![0-9A-Fa-f]{2})|%(?:[01][0-9A-Fa-f]|7[Ff]|2[Ff]|5[Cc])/;
const TEN_DIGITS = /^[1-9][0-9]{9}$/;
const SIGNATURE = /^[A-Za-z0-9_-]{43}$/;
const SENTENCES = { 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 405: "Method Not Allowed", 410: "Gone" };

async function handler(event) {
  const request = event.request;
  let site;
  try {
    site = await cf.kvs().get("countermark", { format: "json" });
  } catch (error) {
    // Without its keys the edge knows nobody: it must not pass on what it cannot verify.
    return refusal(503, "edge_not_ready");
  }
  const viewer = { address: event.viewer.ip, country: countryOf(request, site) };
  const verdict = judge(request, viewer, site, Math.floor(Date.now() / 1000));
  if (verdict.status !== 200) return refusal(verdict.status, verdict.reason);
  // Overwrites what a viewer may have sent under this name: whoever chose the key could poison the cache.
  request.headers["countermark-cache-key"] = { value: verdict.key };
  return request;
}

function judge(request, viewer, site, now) {
  if (request.method !== "GET" && request.method !== "HEAD") return refused(405, "method_not_allowed");
  const path = request.uri;
  const query = request.rawQueryString() || "";
  if (path.length + query.length > LONGEST || !cleanPath(path)) return refused(400, "target_malformed");

  const raw = query.split("&");
  const values = Object.create(null);
  for (let at = 0; at < raw.length; at++) {
    const cut = raw[at].indexOf("=");
    const name = decoded(cut < 0 ? raw[at] : raw[at].slice(0, cut));
    // The same name twice would leave open which of them a later reader obeys.
    if (name === null || name in values) return refused(400, "target_malformed");
    values[name] = cut < 0 ? "" : raw[at].slice(cut + 1);
  }
  if (values.sig === undefined) return refused(401, "signature_missing");
  // One spelling a URL, so that caches and revocation know it again.
  if (raw.length > MOST_PAIRS || !raw.every((pair) => CANONICAL_PAIR.test(pair) && decoded(pair) !== null)) {
    return refused(400, "target_malformed");
  }
  if (!wellDated(values) || !wellBound(values)) return refused(400, "parameter_invalid");

  const signed = raw.filter((pair) => !pair.startsWith("sig=")).sort();
  const message = `countermark-v1\nread\n${site.audience}\n${path}\n${signed.join("&")}`;
  // An own property only: a key id of "constructor" names no key.
  const known = Object.prototype.hasOwnProperty.call(site.keys, values.kid);
  if (!known || !SIGNATURE.test(values.sig) || !same(mac(site.keys[values.kid], message), values.sig)) {
    return refused(403, "signature_invalid");
  }

  if ("nbf" in values && now < Number(values.nbf)) return refused(403, "not_yet_valid");
  if (now > Number(values.exp)) return refused(410, "expired");
  if (Number(values.exp) - now > site.maxLife) return refused(403, "lifetime_exceeded");
  if ("iat" in values && Number(values.iat) > now + AHEAD) return refused(403, "not_yet_valid");
  // Single addresses in one spelling; a network that cannot be judged here opens nothing here.
  if ("ip" in values && decoded(values.ip) !== viewer.address) return refused(403, "address_mismatch");
  // An unknown country is none of those that are named.
  if ("geo" in values && !values.geo.split(".").includes(viewer.country)) return refused(403, "country_mismatch");
  // Whether it was used or its session has ended stands in the gateway's store.
  if (ASK_THE_GATEWAY.some((name) => name in values)) return refused(403, "ask_the_gateway");
  const operations = signed.filter((pair) => !CREDENTIALS.includes(pair.slice(0, pair.indexOf("="))));
  const picture = `${site.audience}\n${path}\n${operations.join("&")}`;
  return { status: 200, reason: "", key: crypto.createHash("sha256").update(picture).digest("hex") };
}

function wellDated(values) {
  if (!TEN_DIGITS.test(values.exp)) return false;
  if (values.nbf !== undefined && !(TEN_DIGITS.test(values.nbf) && values.nbf < values.exp)) return false;
  return values.iat === undefined || (TEN_DIGITS.test(values.iat) && values.iat <= values.exp);
}

function wellBound(values) {
  if ("th" in values && !values.preset) return false;
  if (!Object.keys(FACTS).every((name) => !(name in values) || FACTS[name].test(values[name]))) return false;
  const codes = "geo" in values ? values.geo.split(".") : [];
  // One spelling a list, for the same reason as for the whole query.
  if (!codes.every((code, at) => at === 0 || codes[at - 1] < code)) return false;
  return ["uid", "ctx"].every((name) => !(name in values) || shortText(values[name]));
}

function shortText(raw) {
  // One place for each character, as the gateway counts them: UTF-8 goes on with the bytes that are taken out.
  const length = raw.replace(/%[89AB][0-9A-F]/g, "").replace(/%../g, "x").length;
  return length > 0 && length <= LONGEST_TEXT;
}

function countryOf(request, site) {
  // Where CloudFront does not write this header, the viewer may.
  const header = site.countries === true ? request.headers["cloudfront-viewer-country"] : undefined;
  return header === undefined ? "" : header.value;
}

function mac(secret, message) {
  return crypto.createHmac("sha256", Buffer.from(secret, "base64url")).update(message).digest("base64url");
}

function same(expected, presented) {
  // Looks at every character: the time taken must not tell how many are right.
  let different = expected.length ^ presented.length;
  for (let at = 0; at < expected.length; at++) different |= expected.charCodeAt(at) ^ presented.charCodeAt(at);
  return different === 0;
}

function cleanPath(path) {
  if (!PATH.test(path) || path.startsWith("//") || BROKEN_PATH.test(path)) return false;
  const plain = decoded(path);
  if (plain === null) return false;
  const segments = plain.split("/").slice(1);
  if (segments.includes(".") || segments.includes("..")) return false;
  return path === "/" || !segments.includes("");
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    return null;
  }
}

function refused(status, reason) {
  return { status: status, reason: reason };
}

function refusal(status, reason) {
  return {
    statusCode: status,
    statusDescription: SENTENCES[status] || "Service Unavailable",
    headers: { "countermark-reason": { value: reason }, "cache-control": { value: "no-store" } },
  };
}
