<?php

// Signs URLs of private pictures for countermark's native dialect. Copy this file; it needs nothing but PHP 8.1 (and its
// sodium for Ed25519 keys).
//
//   $signer = new CountermarkSigner(kid: 'k1', secret: getenv('COUNTERMARK_SECRET'), audience: 'shop');
//   $signer->url('/shop/cat.jpg', ['w' => 800, 'fit' => 'cover']);
//
// The secret is the `secret` of the key in keys.yaml (or privateKey its `private`, for Ed25519), the audience the site's
// `audience` or else its name.

declare(strict_types=1);

/** Signs with one key for one site. Throws an InvalidArgumentException for what the gateway would refuse. */
final class CountermarkSigner
{
    private const RESERVED = [
        'sig', 'kid', 'exp', 'nbf', 'iat', 'ip', 'geo', 'sid', 'cid', 'uid', 'ctx', 'jti', 'once', 'th',
    ];
    private const MOST_COUNTRIES = 250;
    /** By option: its name in the URL, what it may be as a pattern and in words. */
    private const FACTS = [
        'session' => ['sid', '/^[A-Za-z0-9_-]{16,64}$/D', '16 to 64 of A-Z a-z 0-9 _ -'],
        'client' => ['cid', '/^[A-Za-z0-9._-]{1,64}$/D', '1 to 64 of A-Z a-z 0-9 . _ -'],
        'user' => ['uid', '/^[^\x00-\x1f\x7f]{1,128}$/Du', '1 to 128 characters, none of them a control character'],
        'context' => ['ctx', '/^[^\x00-\x1f\x7f]{1,128}$/Du', '1 to 128 characters, none of them a control character'],
        'jti' => ['jti', '/^[A-Za-z0-9_-]{8,64}$/D', '8 to 64 of A-Z a-z 0-9 _ -'],
        'once' => ['once', '/^[A-Za-z0-9_-]{16,64}$/D', "'new', or 16 to 64 of A-Z a-z 0-9 _ -"],
    ];

    private readonly string $material;

    /** @param string $base scheme and host, such as https://img.example.com */
    public function __construct(
        private readonly string $kid,
        private readonly string $audience,
        #[\SensitiveParameter] ?string $secret = null,
        #[\SensitiveParameter] private readonly ?string $privateKey = null,
        private readonly string $base = '',
    ) {
        self::check(preg_match('/^[A-Za-z0-9._-]{1,80}$/D', $kid) === 1, 'kid: 1 to 80 of A-Z a-z 0-9 . _ -');
        self::check(
            $audience !== '' && !preg_match('/[\x00-\x1f\x7f]/', $audience),
            "audience: the site's audience, or else its name",
        );
        self::check(($secret === null) !== ($privateKey === null), 'one of secret and privateKey is needed');
        $this->material = self::decode($secret ?? $privateKey);
        self::check(
            $privateKey === null ? strlen($this->material) >= 32 : strlen($this->material) === 32,
            'secret: at least 32 bytes (privateKey: 32) as base64url without padding, as in keys.yaml',
        );
    }

    /**
     * The signed URL of a picture: a path as people read it, unescaped, and what to do with the picture.
     *
     * @param array<string, string|int|float> $operations
     * @param int $life seconds that the URL lives at most
     * @param bool $exact let it live exactly that long; else the expiry is rounded down, by a quarter of the life at
     *                    most, so that one picture has one URL for a while and caches can keep it
     * @param ?int $notBefore unix seconds before which it is refused
     * @param ?string $ip client address or network in its usual short form: 203.0.113.7, 2001:db8::/56
     * @param ?string $transformHash the hash that binds the operations of the preset that is named
     * @param ?int $issued unix seconds at which it was signed
     * @param ?list<string> $countries codes of the countries from which it opens: ['CH', 'DE']
     * @param ?string $session the session that it lives no longer than
     * @param ?string $client the client whom it is issued to
     * @param ?string $user the user whom it is issued for
     * @param ?string $context what it is made for, such as a campaign
     * @param ?string $jti a name of yours for it, by which it can be revoked
     * @param ?string $once 'new' for a URL that opens one time only, or what tells it from others
     * @param ?int $now unix seconds, in place of the clock
     */
    public function url(
        string $path,
        array $operations = [],
        int $life = 3600,
        bool $exact = false,
        ?int $notBefore = null,
        ?string $ip = null,
        ?string $transformHash = null,
        ?int $issued = null,
        ?array $countries = null,
        ?string $session = null,
        ?string $client = null,
        ?string $user = null,
        ?string $context = null,
        ?string $jti = null,
        ?string $once = null,
        ?int $now = null,
    ): string {
        foreach ($operations as $name => $_) {
            $fine = $name !== '' && !in_array((string) $name, self::RESERVED, true);
            self::check($fine, "operations: '$name' is not an operation");
        }
        $expires = self::expiry($now ?? time(), $life, $exact);
        $facts = ['exp' => $expires, 'kid' => $this->kid];
        if ($notBefore !== null) {
            $earlier = self::tenDigits($notBefore) && $notBefore < $expires;
            self::check($earlier, 'notBefore: unix seconds, earlier than the expiry');
            $facts['nbf'] = $notBefore;
        }
        if ($ip !== null) {
            $facts['ip'] = self::address($ip);
        }
        if ($transformHash !== null) {
            self::check(
                ($operations['preset'] ?? '') !== '' && preg_match('/^[A-Za-z0-9_-]{8,64}$/D', $transformHash) === 1,
                'transformHash: 8 to 64 of A-Z a-z 0-9 _ - beside the operation preset',
            );
            $facts['th'] = $transformHash;
        }
        if ($issued !== null) {
            $past = self::tenDigits($issued) && $issued <= $expires;
            self::check($past, 'issued: unix seconds, not later than the expiry');
            $facts['iat'] = $issued;
        }
        if ($countries !== null) {
            $facts['geo'] = self::countries($countries);
        }
        foreach (compact('session', 'client', 'user', 'context', 'jti', 'once') as $option => $text) {
            if ($text !== null) {
                $facts[self::FACTS[$option][0]] = self::fact($option, $text);
            }
        }
        $pairs = [];
        foreach ($operations + $facts as $name => $value) {
            $pairs[] = self::escape((string) $name) . '=' . self::escape((string) $value);
        }
        sort($pairs, SORT_STRING);
        $query = implode('&', $pairs);
        $escapedPath = self::escapePath($path);
        $message = "countermark-v1\nread\n{$this->audience}\n{$escapedPath}\n{$query}";
        $signature = self::encode($this->sign($message));
        return rtrim($this->base, '/') . "{$escapedPath}?{$query}&sig={$signature}";
    }

    private function sign(string $message): string
    {
        if ($this->privateKey === null) {
            return hash_hmac('sha256', $message, $this->material, true);
        }
        $pair = sodium_crypto_sign_seed_keypair($this->material);
        return sodium_crypto_sign_detached($message, sodium_crypto_sign_secretkey($pair));
    }

    private static function check(bool $condition, string $sentence): void
    {
        if (!$condition) {
            throw new InvalidArgumentException($sentence);
        }
    }

    private static function expiry(int $now, int $life, bool $exact): int
    {
        self::check($life >= 1, 'life: at least one second');
        $window = $exact ? 1 : max(1, intdiv($life, 4));
        $expires = intdiv($now + $life, $window) * $window;
        self::check(self::tenDigits($expires), 'life: ends outside of the times that a URL can say');
        return $expires;
    }

    private static function tenDigits(int $seconds): bool
    {
        return $seconds >= 1_000_000_000 && $seconds < 10_000_000_000;
    }

    private static function address(string $text): string
    {
        // What a server that listens on IPv6 and IPv4 at once calls an IPv4 client.
        $plain = str_starts_with($text, '::ffff:') && str_contains($text, '.') ? substr($text, 7) : $text;
        $fine = preg_match('/^[0-9a-f:.]{2,39}(\/[0-9]{1,3})?$/D', $plain) === 1;
        self::check($fine, 'ip: an address or a network such as 203.0.113.0/24');
        return $plain;
    }

    /** @param list<string> $codes */
    private static function countries(array $codes): string
    {
        // No country at all would bind nothing: never what somebody meant who gave a list.
        $fine = count($codes) >= 1 && count($codes) <= self::MOST_COUNTRIES
            && preg_grep('/^[A-Z]{2}$/D', $codes, PREG_GREP_INVERT) === [];
        self::check($fine, 'countries: 1 to 250 codes of two letters in upper case, such as CH');
        sort($codes, SORT_STRING);
        return implode('.', array_unique($codes));
    }

    private static function fact(string $option, string $text): string
    {
        [, $pattern, $words] = self::FACTS[$option];
        if ($option === 'once' && $text === 'new') {
            return self::encode(random_bytes(16));
        }
        self::check(preg_match($pattern, $text) === 1, "$option: $words");
        return $text;
    }

    private static function escapePath(string $path): string
    {
        $segments = explode('/', $path);
        $first = array_shift($segments);
        $fine = $first === '' && $segments !== [] && !str_contains($path, '\\')
            && array_intersect($segments, ['', '.', '..']) === [];
        self::check($fine, "path: starts with a slash, without empty segments, '.', '..' and backslashes");
        return implode('', array_map(static fn (string $segment): string => '/' . self::escape($segment), $segments));
    }

    private static function escape(string $text): string
    {
        $fine = preg_match('/^[^\x00-\x1f\x7f]*$/Du', $text) === 1;
        self::check($fine, 'control characters and what is not UTF-8 cannot stand in a URL');
        return rawurlencode($text);
    }

    private static function decode(string $text): string
    {
        $data = (string) base64_decode(strtr($text, '-_', '+/'), true);
        return self::encode($data) === $text ? $data : '';
    }

    private static function encode(string $data): string
    {
        return rtrim(strtr(base64_encode($data), '+/', '-_'), '=');
    }
}
