# frozen_string_literal: true

# Signs URLs of private pictures for countermark's native dialect. Copy this file; it needs nothing but the openssl of
# Ruby 3.1.
#
#   signer = CountermarkSigner.new(kid: "k1", secret: ENV.fetch("COUNTERMARK_SECRET"), audience: "shop")
#   signer.url("/shop/cat.jpg", { w: 800, fit: "cover" })
#
# The secret is the `secret` of the key in keys.yaml (or private_key its `private`, for Ed25519), the audience the site's
# `audience` or else its name.

require "openssl"
require "securerandom"

# Signs with one key for one site. Raises ArgumentError for what the gateway would refuse.
class CountermarkSigner
  RESERVED = %w[sig kid exp nbf iat ip geo sid cid uid ctx jti once th].freeze
  MOST_COUNTRIES = 250
  TEN_DIGITS = (1_000_000_000..9_999_999_999)
  CONTROL = /[\x00-\x1f\x7f]/
  # By option: its name in the URL, what it may be as a pattern and in words.
  FACTS = {
    session: ["sid", /\A[A-Za-z0-9_-]{16,64}\z/, "16 to 64 of A-Z a-z 0-9 _ -"],
    client: ["cid", /\A[A-Za-z0-9._-]{1,64}\z/, "1 to 64 of A-Z a-z 0-9 . _ -"],
    user: ["uid", /\A[^\x00-\x1f\x7f]{1,128}\z/, "1 to 128 characters, none of them a control character"],
    context: ["ctx", /\A[^\x00-\x1f\x7f]{1,128}\z/, "1 to 128 characters, none of them a control character"],
    jti: ["jti", /\A[A-Za-z0-9_-]{8,64}\z/, "8 to 64 of A-Z a-z 0-9 _ -"],
    once: ["once", /\A[A-Za-z0-9_-]{16,64}\z/, "'new', or 16 to 64 of A-Z a-z 0-9 _ -"]
  }.freeze
  # PKCS #8 of an Ed25519 key (RFC 8410 section 7), up to its 32 bytes.
  PKCS8 = ["302e020100300506032b657004220420"].pack("H*").freeze

  # base: scheme and host, such as https://img.example.com
  def initialize(kid:, audience:, secret: nil, private_key: nil, base: "")
    check(/\A[A-Za-z0-9._-]{1,80}\z/.match?(kid), "kid: 1 to 80 of A-Z a-z 0-9 . _ -")
    check(!audience.empty? && !CONTROL.match?(audience), "audience: the site's audience, or else its name")
    check(secret.nil? ^ private_key.nil?, "one of secret and private_key is needed")
    @kid = kid
    @audience = audience
    @base = base.sub(%r{/+\z}, "")
    secret ? read_secret(secret) : read_private_key(private_key)
  end

  # The signed URL of a picture: a path as people read it, unescaped, and what to do with the picture.
  #
  # life            seconds that the URL lives at most
  # exact           let it live exactly that long; else the expiry is rounded down, by a quarter of the life at most, so
  #                 that one picture has one URL for a while and caches can keep it
  # not_before      unix seconds before which it is refused
  # ip              client address or network in its usual short form: 203.0.113.7, 2001:db8::/56
  # transform_hash  the hash that binds the operations of the preset that is named
  # issued          unix seconds at which it was signed
  # countries       codes of the countries from which it opens: ["CH", "DE"]
  # session         the session that it lives no longer than
  # client          the client whom it is issued to
  # user            the user whom it is issued for
  # context         what it is made for, such as a campaign
  # jti             a name of yours for it, by which it can be revoked
  # once            "new" for a URL that opens one time only, or what tells it from others
  # now             unix seconds, in place of the clock
  def url(path, operations = {}, life: 3600, exact: false, not_before: nil, ip: nil, transform_hash: nil, issued: nil,
          countries: nil, session: nil, client: nil, user: nil, context: nil, jti: nil, once: nil, now: Time.now)
    pairs = operations.to_h { |name, value| [name.to_s, value.to_s] }
    check_operations(pairs)
    expires = expiry(now.to_i, life, exact)
    facts = { "exp" => expires.to_s, "kid" => @kid }
    facts["nbf"] = start(not_before, expires) if not_before
    facts["ip"] = address(ip) if ip
    facts["th"] = binding_hash(transform_hash, pairs) if transform_hash
    facts["iat"] = time_of_signing(issued, expires) if issued
    facts["geo"] = list(countries) if countries
    texts = { session: session, client: client, user: user, context: context, jti: jti, once: once }
    facts.update(texts.compact.to_h { |option, text| fact(option, text) })
    escaped_path = escape_path(path)
    query = pairs.merge(facts).map { |name, value| "#{escape(name)}=#{escape(value)}" }.sort.join("&")
    message = "countermark-v1\nread\n#{@audience}\n#{escaped_path}\n#{query}"
    "#{@base}#{escaped_path}?#{query}&sig=#{encode(sign(message))}"
  end

  # Never the key: this text ends up in logs.
  def inspect
    "#<CountermarkSigner #{@kid}>"
  end

  private

  def check(condition, sentence)
    raise ArgumentError, sentence unless condition
  end

  def read_secret(text)
    @secret = decode(text)
    check(@secret.bytesize >= 32, "secret: at least 32 bytes as base64url without padding, as in keys.yaml")
  end

  def read_private_key(text)
    seed = decode(text)
    check(seed.bytesize == 32, "private_key: 32 bytes as base64url without padding, as in keys.yaml")
    @pair = OpenSSL::PKey.read(PKCS8 + seed)
  end

  def sign(message)
    @pair ? @pair.sign(nil, message) : OpenSSL::HMAC.digest("SHA256", @secret, message)
  end

  def check_operations(pairs)
    pairs.each_key do |name|
      check(!name.empty? && !RESERVED.include?(name), "operations: #{name.inspect} is not an operation")
    end
  end

  def expiry(now, life, exact)
    check(life.is_a?(Integer) && life >= 1, "life: whole seconds, at least one")
    window = exact ? 1 : [1, life / 4].max
    expires = (now + life) / window * window
    check(TEN_DIGITS.cover?(expires), "life: ends outside of the times that a URL can say")
    expires
  end

  def start(not_before, expires)
    check(TEN_DIGITS.cover?(not_before) && not_before < expires, "not_before: unix seconds, earlier than the expiry")
    not_before.to_s
  end

  def address(text)
    # What a server that listens on IPv6 and IPv4 at once calls an IPv4 client.
    plain = text.include?(".") ? text.delete_prefix("::ffff:") : text
    check(%r{\A[0-9a-f:.]{2,39}(/[0-9]{1,3})?\z}.match?(plain), "ip: an address or a network such as 203.0.113.0/24")
    plain
  end

  def binding_hash(text, pairs)
    fitting = !pairs.fetch("preset", "").empty? && /\A[A-Za-z0-9_-]{8,64}\z/.match?(text)
    check(fitting, "transform_hash: 8 to 64 of A-Z a-z 0-9 _ - beside the operation preset")
    text
  end

  def time_of_signing(issued, expires)
    check(TEN_DIGITS.cover?(issued) && issued <= expires, "issued: unix seconds, not later than the expiry")
    issued.to_s
  end

  def list(countries)
    # No country at all would bind nothing: never what somebody meant who gave a list.
    fitting = countries.size.between?(1, MOST_COUNTRIES) && countries.all?(/\A[A-Z]{2}\z/)
    check(fitting, "countries: 1 to 250 codes of two letters in upper case, such as CH")
    countries.uniq.sort.join(".")
  end

  def fact(option, text)
    name, pattern, words = FACTS.fetch(option)
    return [name, encode(SecureRandom.bytes(16))] if option == :once && text == "new"

    check(pattern.match?(text), "#{option}: #{words}")
    [name, text]
  end

  def escape_path(path)
    first, *segments = path.split("/", -1)
    fitting = first == "" && segments.any? && (segments & ["", ".", ".."]).empty? && !path.include?("\\")
    check(fitting, "path: starts with a slash, without empty segments, '.', '..' and backslashes")
    segments.map { |segment| "/#{escape(segment)}" }.join
  end

  def escape(text)
    utf8 = text.encode("UTF-8")
    check(utf8.valid_encoding? && !CONTROL.match?(utf8), "control characters and what is not UTF-8 cannot stand in a URL")
    utf8.b.gsub(/[^A-Za-z0-9._~-]/n) { |byte| format("%%%02X", byte.ord) }
  end

  def decode(text)
    data = text.tr("-_", "+/").ljust((text.length + 3) / 4 * 4, "=").unpack1("m0")
    encode(data) == text ? data : ""
  rescue ArgumentError
    ""
  end

  def encode(data)
    [data].pack("m0").tr("+/", "-_").delete("=")
  end
end
