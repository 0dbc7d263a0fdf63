vcl 4.1;

# Varnish keeps countermark's pictures and forgets what is revoked, by vmod xkey (Debian: varnish-modules), which reads the
# surrogate keys in the field `xkey` of each answer.

import xkey;

backend countermark {
    .host = "127.0.0.1";
    .port = "8080";
}

# Who may purge: the machines on which countermark runs, and nobody else.
acl purgers {
    "127.0.0.1";
    "::1";
}

sub vcl_recv {
    if (req.method == "PURGE") {
        if (client.ip !~ purgers) {
            return (synth(403));
        }
        if (!req.http.xkey-purge) {
            return (purge);
        }
        set req.http.xkey-gone = xkey.purge(req.http.xkey-purge);
        return (synth(200, req.http.xkey-gone + " forgotten"));
    }
}

sub vcl_backend_response {
    # What is revoked is not shown while a new answer is fetched.
    set beresp.grace = 0s;
    set beresp.keep = 0s;
}

sub vcl_deliver {
    unset resp.http.xkey;
}
