vcl 4.1;

# Varnish in front of countermark, with a cache that every signature of one picture shares: each request asks /verify
# first, comes back by a restart, and is looked up under the key that it was told.

backend countermark {
    .host = "127.0.0.1";
    .port = "8080";
}

sub vcl_recv {
    if (req.restarts > 0) {
        return (hash);
    }
    if (req.method != "GET" && req.method != "HEAD") {
        return (synth(405));
    }
    # What a viewer sends in these fields is replaced.
    set req.http.X-Forwarded-For = client.ip;
    set req.http.X-Original-URI = req.url;
    unset req.http.Countermark-Cache-Key;
    set req.url = "/verify";
    return (pass);
}

sub vcl_hash {
    hash_data(req.http.Countermark-Cache-Key);
    return (lookup);
}

sub vcl_backend_response {
    # The key knows already what the viewer's Accept leads to; viewers still get to see the field.
    set beresp.http.Countermark-Vary = beresp.http.Vary;
    unset beresp.http.Vary;
    set beresp.grace = 0s;
}

sub vcl_deliver {
    if (req.restarts == 0) {
        if (resp.status == 204 && resp.http.Countermark-Cache-Key) {
            set req.http.Countermark-Cache-Key = resp.http.Countermark-Cache-Key;
            set req.http.Countermark-Cache-Control = resp.http.Countermark-Cache-Control;
            set req.url = req.http.X-Original-URI;
            return (restart);
        }
        # A refusal goes out as countermark wrote it; any other yes is none.
        if (resp.status < 400) {
            return (synth(502));
        }
        return (deliver);
    }
    # A viewer may keep the picture as long as his own permission lasts, whoever's permission fetched it.
    if (resp.status == 200 || resp.status == 206 || resp.status == 304) {
        set resp.http.Cache-Control = req.http.Countermark-Cache-Control;
    }
    if (resp.http.Countermark-Vary) {
        set resp.http.Vary = resp.http.Countermark-Vary;
        unset resp.http.Countermark-Vary;
    }
    if (obj.hits > 0) {
        set resp.http.X-Cache = "HIT";
    } else {
        set resp.http.X-Cache = "MISS";
    }
}
