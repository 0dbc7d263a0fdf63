// Package countermark signs URLs of private pictures for countermark's native dialect. Copy this file into a folder of
// its name; it needs nothing but the standard library of Go 1.21.
//
//	signer, err := countermark.New("k1", os.Getenv("COUNTERMARK_SECRET"), "shop", "https://img.example.com")
//	url, err := signer.URL("/shop/cat.jpg", map[string]string{"w": "800", "fit": "cover"}, countermark.Options{})
package countermark

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

var (
	kidForm      = regexp.MustCompile(`^[A-Za-z0-9._-]{1,80}$`)
	ipForm       = regexp.MustCompile(`^[0-9a-f:.]{2,39}(/[0-9]{1,3})?$`)
	hashForm     = regexp.MustCompile(`^[A-Za-z0-9_-]{8,64}$`)
	control      = regexp.MustCompile(`[\x00-\x1f\x7f]`)
	countryForm  = regexp.MustCompile(`^[A-Z]{2}$`)
	sessionForm  = regexp.MustCompile(`^[A-Za-z0-9_-]{16,64}$`)
	clientForm   = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	textForm     = regexp.MustCompile(`^[^\x00-\x1f\x7f]{1,128}$`)
	notOperation = regexp.MustCompile(`^(sig|kid|exp|nbf|iat|ip|geo|sid|cid|uid|ctx|jti|once|th)?$`)
)

// Signer signs with one key for one site. It may be used by many goroutines at once.
type Signer struct {
	kid, audience, base string
	sign                func(message []byte) []byte
}

// Options of one URL; the zero value is what most URLs need.
type Options struct {
	Life          time.Duration // how long the URL lives at most, in whole seconds; an hour unless said
	Exact         bool          // live exactly that long; else up to a quarter less, so that a picture keeps its URL for a while
	NotBefore     time.Time     // when it begins to be valid
	IP            string        // client address or network in its usual short form: 203.0.113.7, 2001:db8::/56
	TransformHash string        // binds the operations of the preset that is named
	Issued        time.Time     // when it was signed
	Countries     []string      // codes of the countries from which it opens: CH, DE
	Session       string        // the session that it lives no longer than
	Client        string        // the client whom it is issued to
	User          string        // the user whom it is issued for
	Context       string        // what it is made for, such as a campaign
	JTI           string        // a name of yours for it, by which it can be revoked
	Once          string        // "new" for a URL that opens one time only, or what tells it from others
	Now           time.Time     // in place of the clock
}

// New makes a signer of an HMAC-SHA-256 key. The secret is as in keys.yaml, the audience is the site's audience or else
// its name, the base is scheme and host or nothing.
func New(kid, secret, audience, base string) (*Signer, error) {
	key := decode(secret)
	if len(key) < 32 {
		return nil, errors.New("secret: at least 32 bytes as base64url without padding, as in keys.yaml")
	}
	return newSigner(kid, audience, base, func(message []byte) []byte {
		mac := hmac.New(sha256.New, key)
		mac.Write(message)
		return mac.Sum(nil)
	})
}

// NewEd25519 makes a signer of an Ed25519 key, whose private half is as in keys.yaml.
func NewEd25519(kid, privateKey, audience, base string) (*Signer, error) {
	seed := decode(privateKey)
	if len(seed) != ed25519.SeedSize {
		return nil, errors.New("privateKey: 32 bytes as base64url without padding, as in keys.yaml")
	}
	key := ed25519.NewKeyFromSeed(seed)
	return newSigner(kid, audience, base, func(message []byte) []byte { return ed25519.Sign(key, message) })
}

func newSigner(kid, audience, base string, sign func([]byte) []byte) (*Signer, error) {
	if !kidForm.MatchString(kid) {
		return nil, errors.New("kid: 1 to 80 of A-Z a-z 0-9 . _ -")
	}
	if audience == "" || control.MatchString(audience) {
		return nil, errors.New("audience: the site's audience, or else its name")
	}
	return &Signer{kid: kid, audience: audience, base: strings.TrimRight(base, "/"), sign: sign}, nil
}

// URL signs a picture: a path as people read it, unescaped, and what to do with the picture. What the gateway would
// refuse is an error.
func (s *Signer) URL(path string, operations map[string]string, options Options) (string, error) {
	facts, err := s.facts(options, operations["preset"])
	if err != nil {
		return "", err
	}
	escapedPath, err := escapePath(path)
	if err != nil {
		return "", err
	}
	for name := range operations {
		if notOperation.MatchString(name) {
			return "", fmt.Errorf("operations: %q is not an operation", name)
		}
	}
	var pairs []string
	for _, some := range []map[string]string{operations, facts} {
		for name, value := range some {
			pair, err := escapePair(name, value)
			if err != nil {
				return "", err
			}
			pairs = append(pairs, pair)
		}
	}
	sort.Strings(pairs)
	query := strings.Join(pairs, "&")
	message := "countermark-v1\nread\n" + s.audience + "\n" + escapedPath + "\n" + query
	signature := base64.RawURLEncoding.EncodeToString(s.sign([]byte(message)))
	return s.base + escapedPath + "?" + query + "&sig=" + signature, nil
}

func (s *Signer) facts(options Options, preset string) (map[string]string, error) {
	expires, err := expiry(options)
	if err != nil {
		return nil, err
	}
	facts := map[string]string{"exp": strconv.FormatInt(expires, 10), "kid": s.kid}
	if !options.NotBefore.IsZero() {
		start := options.NotBefore.Unix()
		if !tenDigits(start) || start >= expires {
			return nil, errors.New("NotBefore: earlier than the expiry")
		}
		facts["nbf"] = strconv.FormatInt(start, 10)
	}
	if options.IP != "" {
		ip := options.IP
		// What a server that listens on IPv6 and IPv4 at once calls an IPv4 client.
		if strings.Contains(ip, ".") {
			ip = strings.TrimPrefix(ip, "::ffff:")
		}
		if !ipForm.MatchString(ip) {
			return nil, errors.New("IP: an address or a network such as 203.0.113.0/24")
		}
		facts["ip"] = ip
	}
	if options.TransformHash != "" {
		if preset == "" || !hashForm.MatchString(options.TransformHash) {
			return nil, errors.New("TransformHash: 8 to 64 of A-Z a-z 0-9 _ - beside the operation preset")
		}
		facts["th"] = options.TransformHash
	}
	if !options.Issued.IsZero() {
		issued := options.Issued.Unix()
		if !tenDigits(issued) || issued > expires {
			return nil, errors.New("Issued: not later than the expiry")
		}
		facts["iat"] = strconv.FormatInt(issued, 10)
	}
	if options.Countries != nil {
		list, err := countries(options.Countries)
		if err != nil {
			return nil, err
		}
		facts["geo"] = list
	}
	return facts, texts(options, facts)
}

func countries(codes []string) (string, error) {
	sorted := slices.Clone(codes)
	slices.Sort(sorted)
	sorted = slices.Compact(sorted)
	foreign := func(code string) bool { return !countryForm.MatchString(code) }
	// No country at all would bind nothing: never what somebody meant who gave a list.
	if len(codes) == 0 || len(codes) > 250 || slices.ContainsFunc(sorted, foreign) {
		return "", errors.New("Countries: 1 to 250 codes of two letters in upper case, such as CH")
	}
	return strings.Join(sorted, "."), nil
}

// texts adds the facts that are texts, where they are given.
func texts(options Options, facts map[string]string) error {
	for _, fact := range []struct {
		option, name, text string
		form               *regexp.Regexp
		words              string
	}{
		{"Session", "sid", options.Session, sessionForm, "16 to 64 of A-Z a-z 0-9 _ -"},
		{"Client", "cid", options.Client, clientForm, "1 to 64 of A-Z a-z 0-9 . _ -"},
		{"User", "uid", options.User, textForm, "1 to 128 characters, none of them a control character"},
		{"Context", "ctx", options.Context, textForm, "1 to 128 characters, none of them a control character"},
		{"JTI", "jti", options.JTI, hashForm, "8 to 64 of A-Z a-z 0-9 _ -"},
		{"Once", "once", options.Once, sessionForm, `"new", or 16 to 64 of A-Z a-z 0-9 _ -`},
	} {
		switch {
		case fact.text == "":
			continue
		case fact.name == "once" && fact.text == "new":
			nonce := make([]byte, 16)
			if _, err := rand.Read(nonce); err != nil {
				return err
			}
			facts[fact.name] = base64.RawURLEncoding.EncodeToString(nonce)
		case !fact.form.MatchString(fact.text):
			return fmt.Errorf("%s: %s", fact.option, fact.words)
		default:
			facts[fact.name] = fact.text
		}
	}
	return nil
}

func expiry(options Options) (int64, error) {
	life, now := options.Life, options.Now
	if life == 0 {
		life = time.Hour
	}
	if now.IsZero() {
		now = time.Now()
	}
	seconds := int64(life / time.Second)
	if seconds < 1 || life%time.Second != 0 {
		return 0, errors.New("Life: whole seconds, at least one")
	}
	window := max(1, seconds/4)
	if options.Exact {
		window = 1
	}
	expires := (now.Unix() + seconds) / window * window
	if !tenDigits(expires) {
		return 0, errors.New("Life: ends outside of the times that a URL can say")
	}
	return expires, nil
}

func tenDigits(seconds int64) bool { return seconds >= 1e9 && seconds < 1e10 }

func escapePath(path string) (string, error) {
	segments := strings.Split(path, "/")
	if len(segments) < 2 || segments[0] != "" || strings.Contains(path, `\`) {
		return "", errors.New("path: starts with a slash, without backslashes")
	}
	escaped := ""
	for _, segment := range segments[1:] {
		text, err := escape(segment)
		if err != nil {
			return "", err
		}
		if text == "" || text == "." || text == ".." {
			return "", errors.New("path: without empty segments, '.' and '..'")
		}
		escaped += "/" + text
	}
	return escaped, nil
}

func escapePair(name, value string) (string, error) {
	escapedName, err := escape(name)
	if err != nil {
		return "", err
	}
	escapedValue, err := escape(value)
	return escapedName + "=" + escapedValue, err
}

func escape(text string) (string, error) {
	if control.MatchString(text) || !utf8.ValidString(text) {
		return "", errors.New("control characters and what is not UTF-8 cannot stand in a URL")
	}
	var escaped strings.Builder
	for _, b := range []byte(text) {
		switch {
		case 'A' <= b && b <= 'Z', 'a' <= b && b <= 'z', '0' <= b && b <= '9', b == '-', b == '.', b == '_', b == '~':
			escaped.WriteByte(b)
		default:
			fmt.Fprintf(&escaped, "%%%02X", b)
		}
	}
	return escaped.String(), nil
}

func decode(text string) []byte {
	data, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil
	}
	return data
}
