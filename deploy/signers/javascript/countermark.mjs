// Signs URLs of private pictures for countermark's native dialect. Copy this file (and countermark.d.mts for TypeScript);
// it needs nothing but WebCrypto: Node 20, Deno, Bun, workers at the edge, browsers.
//
//   const signer = new Signer({ kid: "k1", secret: process.env.COUNTERMARK_SECRET, audience: "shop" });
//   await signer.url("/shop/cat.jpg", { w: 800, fit: "cover" });
//
// The secret is the `secret` of the key in keys.yaml (or `privateKey` its `private`, for Ed25519), the audience the site's
// `audience` or else its name. Whoever has the secret can sign anything: never send it to other people's browsers.

const RESERVED = new Set(
  ["sig", "kid", "exp", "nbf", "iat", "ip", "geo", "sid", "cid", "uid", "ctx", "jti", "once", "th"],
);
const CONTROL = /[\x00-\x1f\x7f]/;
const KID = /^[A-Za-z0-9._-]{1,80}$/;
const IP = /^[0-9a-f:.]{2,39}(\/[0-9]{1,3})?$/;
const TRANSFORM_HASH = /^[A-Za-z0-9_-]{8,64}$/;
const COUNTRY = /^[A-Z]{2}$/;
const MOST_COUNTRIES = 250;
// By option: its name in the URL, what it may be as a pattern and in words.
const FACTS = {
  session: ["sid", /^[A-Za-z0-9_-]{16,64}$/, "16 to 64 of A-Z a-z 0-9 _ -"],
  client: ["cid", /^[A-Za-z0-9._-]{1,64}$/, "1 to 64 of A-Z a-z 0-9 . _ -"],
  user: ["uid", /^[^\x00-\x1f\x7f]{1,128}$/u, "1 to 128 characters, none of them a control character"],
  context: ["ctx", /^[^\x00-\x1f\x7f]{1,128}$/u, "1 to 128 characters, none of them a control character"],
  jti: ["jti", /^[A-Za-z0-9_-]{8,64}$/, "8 to 64 of A-Z a-z 0-9 _ -"],
  once: ["once", /^[A-Za-z0-9_-]{16,64}$/, "'new', or 16 to 64 of A-Z a-z 0-9 _ -"],
};
// PKCS #8 of an Ed25519 key (RFC 8410 section 7), up to its 32 bytes.
const PKCS8 = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/** Signs with one key for one site. Throws a TypeError for what the gateway would refuse. */
export class Signer {
  #kid;
  #audience;
  #base;
  #key;

  constructor({ kid, secret, privateKey, audience, base = "" }) {
    check(typeof kid === "string" && KID.test(kid), "kid: 1 to 80 of A-Z a-z 0-9 . _ -");
    check(audience && !CONTROL.test(audience), "audience: the site's audience, or else its name");
    check((secret === undefined) !== (privateKey === undefined), "one of secret and privateKey is needed");
    this.#kid = kid;
    this.#audience = audience;
    this.#base = base.replace(/\/+$/, "");
    this.#key = secret === undefined ? ed25519(privateKey) : hmac(secret);
  }

  /**
   * The signed URL of a picture: a path as people read it, unescaped, and what to do with the picture. The options are
   * described in countermark.d.mts.
   */
  async url(path, operations = {}, options = {}) {
    const { life = 3600, exact = false, notBefore, ip, transformHash, issued, countries, now } = options;
    const pairs = new Map(Object.entries(operations).map(([name, value]) => [name, String(value)]));
    checkOperations(pairs);
    const expires = expiry(now ?? Date.now() / 1000, life, exact);
    pairs.set("exp", String(expires)).set("kid", this.#kid);
    if (notBefore !== undefined) pairs.set("nbf", startOf(notBefore, expires));
    if (ip !== undefined) pairs.set("ip", address(ip));
    if (transformHash !== undefined) pairs.set("th", hashOf(transformHash, pairs));
    if (issued !== undefined) pairs.set("iat", timeOf(issued, expires));
    if (countries !== undefined) pairs.set("geo", listOf(countries));
    for (const [option, [name, pattern, words]] of Object.entries(FACTS)) {
      if (options[option] !== undefined) pairs.set(name, factOf(option, options[option], pattern, words));
    }
    const escapedPath = escapePath(path);
    const query = [...pairs].map(([name, value]) => `${escape(name)}=${escape(value)}`).sort().join("&");
    const message = `countermark-v1\nread\n${this.#audience}\n${escapedPath}\n${query}`;
    return `${this.#base}${escapedPath}?${query}&sig=${await this.#sign(message)}`;
  }

  async #sign(message) {
    const { format, data, algorithm } = this.#key;
    const key = await crypto.subtle.importKey(format, data, algorithm, false, ["sign"]);
    return base64url(new Uint8Array(await crypto.subtle.sign(algorithm.name, key, new TextEncoder().encode(message))));
  }
}

function check(condition, sentence) {
  if (!condition) throw new TypeError(sentence);
}

function hmac(text) {
  const data = bytes(text);
  check(data.length >= 32, "secret: at least 32 bytes as base64url without padding, as in keys.yaml");
  return { format: "raw", data, algorithm: { name: "HMAC", hash: "SHA-256" } };
}

function ed25519(text) {
  const seed = bytes(text);
  check(seed.length === 32, "privateKey: 32 bytes as base64url without padding, as in keys.yaml");
  return { format: "pkcs8", data: new Uint8Array([...PKCS8, ...seed]), algorithm: { name: "Ed25519" } };
}

function bytes(text) {
  try {
    const data = Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (letter) => letter.charCodeAt(0));
    if (base64url(data) === text) return data;
  } catch {
    // What is no base64url is as good as nothing.
  }
  return new Uint8Array();
}

function base64url(data) {
  return btoa(String.fromCharCode(...data)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

function escape(text) {
  check(!CONTROL.test(text) && wellFormed(text), "control characters and halves of letters cannot stand in a URL");
  return encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

function wellFormed(text) {
  return !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text);
}

function escapePath(path) {
  const [first, ...segments] = path.split("/");
  const climbs = segments.some((segment) => ["", ".", ".."].includes(segment));
  check(
    first === "" && segments.length > 0 && !climbs && !path.includes("\\"),
    "path: starts with a slash, without empty segments, '.', '..' and backslashes",
  );
  return segments.map((segment) => `/${escape(segment)}`).join("");
}

function checkOperations(pairs) {
  for (const name of pairs.keys()) {
    check(name !== "", "operations: a name is empty");
    check(!RESERVED.has(name), `operations: ${name} is not an operation`);
  }
}

function tenDigits(seconds) {
  return Number.isInteger(seconds) && seconds >= 1e9 && seconds < 1e10;
}

function expiry(now, life, exact) {
  check(Number.isInteger(life) && life >= 1, "life: whole seconds, at least one");
  const window = exact ? 1 : Math.max(1, Math.floor(life / 4));
  const expires = Math.floor(Math.floor(now + life) / window) * window;
  check(tenDigits(expires), "life: ends outside of the times that a URL can say");
  return expires;
}

function startOf(notBefore, expires) {
  check(tenDigits(notBefore) && notBefore < expires, "notBefore: unix seconds, earlier than the expiry");
  return String(notBefore);
}

function address(text) {
  // What a server that listens on IPv6 and IPv4 at once calls an IPv4 client.
  const plain = text.startsWith("::ffff:") && text.includes(".") ? text.slice("::ffff:".length) : text;
  check(IP.test(plain), "ip: an address or a network such as 203.0.113.0/24");
  return plain;
}

function hashOf(text, pairs) {
  check(
    pairs.get("preset") && TRANSFORM_HASH.test(text),
    "transformHash: 8 to 64 of A-Z a-z 0-9 _ - beside the operation preset",
  );
  return text;
}

function timeOf(issued, expires) {
  check(tenDigits(issued) && issued <= expires, "issued: unix seconds, not later than the expiry");
  return String(issued);
}

function listOf(countries) {
  const codes = [...countries];
  // No country at all would bind nothing: never what somebody meant who gave a list.
  check(
    codes.length > 0 && codes.length <= MOST_COUNTRIES && codes.every((code) => COUNTRY.test(code)),
    "countries: 1 to 250 codes of two letters in upper case, such as CH",
  );
  return [...new Set(codes)].sort().join(".");
}

function factOf(option, text, pattern, words) {
  if (option === "once" && text === "new") return base64url(crypto.getRandomValues(new Uint8Array(16)));
  check(typeof text === "string" && pattern.test(text), `${option}: ${words}`);
  return text;
}
