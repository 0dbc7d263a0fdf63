#!/bin/sh
# Signs the URL of a private picture for countermark's native dialect. Copy this file; it needs a POSIX shell and openssl
# (3.0 for Ed25519).
#
#   export COUNTERMARK_KID=k1 COUNTERMARK_SECRET=… COUNTERMARK_AUDIENCE=shop
#   countermark-sign.sh -b https://img.example.com /shop/cat.jpg w=800 fit=cover
#
# The secret is the `secret` of the key in keys.yaml (or COUNTERMARK_PRIVATE_KEY its `private`, for Ed25519), the audience
# the site's `audience` or else its name. They come by the environment, because everybody sees a command's arguments. The
# path is as people read it, unescaped; so are the operations.
#
#   -b BASE     scheme and host
#   -l SECONDS  life of the URL at most; 3600 unless said
#   -x          let it live exactly that long; else the expiry is rounded down, by a quarter of the life at most, so that
#               one picture has one URL for a while and caches can keep it
#   -n TIME     unix seconds before which it is refused
#   -i ADDRESS  client address or network in its usual short form: 203.0.113.7, 2001:db8::/56
#   -t HASH     binds the operations of the preset that is named
#   -a TIME     unix seconds at which it was signed
#   -g COUNTRY  code of a country from which it opens, such as CH; again for more
#   -s SESSION  the session that it lives no longer than
#   -c CLIENT   the client whom it is issued to
#   -u USER     the user whom it is issued for
#   -m CONTEXT  what it is made for, such as a campaign
#   -j JTI      a name of yours for it, by which it can be revoked
#   -o ONCE     "new" for a URL that opens one time only, or what tells it from others
#   -d TIME     unix seconds, in place of the clock
set -eu
LC_ALL=C
export LC_ALL

main() {
    base='' life=3600 exact='' start='' address='' binding='' issued='' countries='' texts='' now=''
    while getopts b:l:xn:i:t:a:g:s:c:u:m:j:o:d: option; do
        case $option in
            b) base=${OPTARG%/} ;;
            l) life=$OPTARG ;;
            x) exact=yes ;;
            n) start=$OPTARG ;;
            i) address=$OPTARG ;;
            t) binding=$OPTARG ;;
            a) issued=$OPTARG ;;
            g) matches "$OPTARG" '[A-Z]{2}' || refuse "-g: a code of two letters in upper case, such as CH"
                countries="$countries$OPTARG
" ;;
            [scujmo]) texts="$texts$(fact "$option" "$OPTARG")
" || exit 2 ;;
            d) now=$OPTARG ;;
            *) refuse "usage: $0 [options] PATH [NAME=VALUE ...]; the head of this file has the options" ;;
        esac
    done
    shift $((OPTIND - 1))
    [ $# -ge 1 ] || refuse "a path is needed"
    read_key
    path=$1
    shift
    check_path "$path"
    escaped_path=$(escape / "$path") || exit 2
    expires=$(expiry "${now:-$(date +%s)}") || exit 2
    pairs=$(facts && operations "$@") || exit 2
    twice=$(printf '%s\n' "$pairs" | cut -d= -f1 | sort | uniq -d)
    [ -z "$twice" ] || refuse "operations: $twice stands here twice"
    query=$(printf '%s\n' "$pairs" | sort | tr '\n' '&')
    query=${query%&}
    signature=$(printf 'countermark-v1\nread\n%s\n%s\n%s' "$COUNTERMARK_AUDIENCE" "$escaped_path" "$query" | sign)
    [ -n "$signature" ] || refuse "openssl could not sign"
    printf '%s%s?%s&sig=%s\n' "$base" "$escaped_path" "$query" "$signature"
}

refuse() {
    printf '%s\n' "$1" >&2
    exit 2
}

matches() {
    case $1 in *'
'*) return 1 ;; esac
    printf '%s\n' "$1" | grep -Eq "^($2)\$"
}

read_key() {
    matches "${COUNTERMARK_KID:-}" '[A-Za-z0-9._-]{1,80}' || refuse "COUNTERMARK_KID: 1 to 80 of A-Z a-z 0-9 . _ -"
    case ${COUNTERMARK_AUDIENCE:-} in
        '' | *[[:cntrl:]]*) refuse "COUNTERMARK_AUDIENCE: the site's audience, or else its name" ;;
    esac
    seed=$(decode "${COUNTERMARK_PRIVATE_KEY:-}")
    [ -z "${COUNTERMARK_PRIVATE_KEY:-}" ] || [ ${#seed} -eq 64 ] || refuse "COUNTERMARK_PRIVATE_KEY: 32 bytes, as in keys.yaml"
    [ -z "$seed" ] || return 0
    secret=$(decode "${COUNTERMARK_SECRET:-}")
    [ ${#secret} -ge 64 ] || refuse "COUNTERMARK_SECRET: at least 32 bytes as base64url without padding, as in keys.yaml"
    if [ ${#secret} -gt 128 ]; then
        secret=$(unhex "$secret" | openssl dgst -sha256 -binary | hex)
    fi
}

check_path() {
    case $1 in
        /*) ;;
        *) refuse "path: starts with a slash" ;;
    esac
    case $1/ in
        *//* | */./* | */../* | *\\*) refuse "path: without empty segments, '.', '..' and backslashes" ;;
    esac
}

expiry() {
    matches "$life" '[1-9][0-9]{0,8}' || refuse "-l: whole seconds, at least one"
    matches "$1" '[1-9][0-9]{0,10}' || refuse "-d: unix seconds"
    window=$((life / 4))
    if [ -n "$exact" ] || [ "$window" -lt 1 ]; then
        window=1
    fi
    expires=$((($1 + life) / window * window))
    [ ${#expires} -eq 10 ] || refuse "-l: ends outside of the times that a URL can say"
    echo "$expires"
}

facts() {
    printf 'exp=%s\nkid=%s\n' "$expires" "$COUNTERMARK_KID"
    if [ -n "$start" ]; then
        matches "$start" '[1-9][0-9]{9}' && [ "$start" -lt "$expires" ] || refuse "-n: unix seconds, earlier than the expiry"
        echo "nbf=$start"
    fi
    if [ -n "$address" ]; then
        # What a server that listens on IPv6 and IPv4 at once calls an IPv4 client.
        case $address in ::ffff:*.*) address=${address#::ffff:} ;; esac
        matches "$address" '[0-9a-f:.]{2,39}(/[0-9]{1,3})?' || refuse "-i: an address or a network such as 203.0.113.0/24"
        echo "ip=$(escape '' "$address")"
    fi
    if [ -n "$binding" ]; then
        matches "$binding" '[A-Za-z0-9_-]{8,64}' || refuse "-t: 8 to 64 of A-Z a-z 0-9 _ -"
        echo "th=$binding"
    fi
    if [ -n "$issued" ]; then
        matches "$issued" '[1-9][0-9]{9}' && [ "$issued" -le "$expires" ] || refuse "-a: unix seconds, not later than the expiry"
        echo "iat=$issued"
    fi
    if [ -n "$countries" ]; then
        [ "$(printf %s "$countries" | wc -l)" -le 250 ] || refuse "-g: 250 countries at most"
        echo "geo=$(printf %s "$countries" | sort -u | tr '\n' . | sed 's/\.$//')"
    fi
    printf %s "$texts"
}

# The pair of the option $1 with the text $2.
fact() {
    counted=$2
    case $1 in
        s) name=sid form='[A-Za-z0-9_-]{16,64}' words="16 to 64 of A-Z a-z 0-9 _ -" ;;
        c) name=cid form='[A-Za-z0-9._-]{1,64}' words="1 to 64 of A-Z a-z 0-9 . _ -" ;;
        j) name=jti form='[A-Za-z0-9_-]{8,64}' words="8 to 64 of A-Z a-z 0-9 _ -" ;;
        o) name=once form='[A-Za-z0-9_-]{16,64}' words="new, or 16 to 64 of A-Z a-z 0-9 _ -" ;;
        u | m)
            case $1 in u) name=uid ;; m) name=ctx ;; esac
            form='.{1,128}' words="1 to 128 characters"
            # One byte of each character of UTF-8.
            counted=$(printf %s "$2" | tr -d '\200-\277' | tr '\300-\377' x) ;;
    esac
    if [ "$1=$2" = o=new ]; then
        echo "once=$(openssl rand 16 | encode)"
        return
    fi
    matches "$counted" "$form" || refuse "-$1: $words"
    text=$(escape '' "$2") || exit 2
    echo "$name=$text"
}

operations() {
    preset=''
    for operation; do
        case $operation in
            sig=* | kid=* | exp=* | nbf=* | iat=* | ip=* | geo=* | sid=* | cid=* | uid=* | ctx=* | jti=* | once=* | th=*)
                refuse "operations: ${operation%%=*} is not an operation" ;;
            preset=?*) preset=yes ;;
            =* | '') refuse "operations: a name is empty" ;;
            *=*) ;;
            *) refuse "operations: NAME=VALUE, not $operation" ;;
        esac
        name=$(escape '' "${operation%%=*}") || exit 2
        value=$(escape '' "${operation#*=}") || exit 2
        echo "$name=$value"
    done
    [ -z "$binding" ] || [ -n "$preset" ] || refuse "-t: binds a preset, and there is none"
}

# Text $2 with every byte as %XX but A-Z a-z 0-9 - . _ ~ and those in $1.
escape() {
    printf %s "$2" | od -An -v -tu1 | awk -v kept="-._~$1" '{
        for (i = 1; i <= NF; i++) {
            n = $i + 0
            if (n < 32 || n == 127) exit 1
            character = sprintf("%c", n)
            if (n < 128 && (character ~ /[A-Za-z0-9]/ || index(kept, character))) printf "%s", character
            else printf "%%%02X", n
        }
    }' || refuse "control characters cannot stand in a URL"
}

hex() { od -An -v -tx1 | tr -d ' \n'; }

# The hexadecimal digits $1 as bytes, each XORed with $2.
unhex() {
    digits=$1 bytes=''
    while [ -n "$digits" ]; do
        rest=${digits#??}
        byte=$((0x${digits%"$rest"} ^ ${2:-0}))
        bytes="$bytes\\0$((byte / 64))$((byte / 8 % 8))$((byte % 8))"
        digits=$rest
    done
    printf %b "$bytes"
}

encode() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }

# The bytes of a base64url text as hexadecimal digits; nothing where it is not what would be written.
decode() {
    text=$1
    case $((${#text} % 4)) in
        2) text="$text==" ;;
        3) text="$text=" ;;
    esac
    digits=$(printf %s "$text" | tr -- '-_' '+/' | openssl base64 -d -A 2>/dev/null | hex)
    if [ "$(unhex "$digits" | encode)" = "$1" ]; then
        printf %s "$digits"
    fi
}

# The signature of the standard input. HMAC (RFC 2104) is made by hand and the private key passes through a file of its
# own, because openssl would take the secret as an argument.
sign() {
    if [ -n "$seed" ]; then
        sign_ed25519
        return
    fi
    block=$secret
    while [ ${#block} -lt 128 ]; do block="${block}00"; done
    {
        unhex "$block" 0x5c
        { unhex "$block" 0x36; cat; } | openssl dgst -sha256 -binary
    } | openssl dgst -sha256 -binary | encode
}

sign_ed25519() (
    umask 077
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    trap 'exit 1' HUP INT TERM
    cat >"$folder/message"
    # PKCS #8 of an Ed25519 key (RFC 8410 section 7).
    unhex "302e020100300506032b657004220420$seed" >"$folder/key"
    openssl pkeyutl -sign -rawin -keyform DER -inkey "$folder/key" -in "$folder/message" | encode
)

main "$@"
