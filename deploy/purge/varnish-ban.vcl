vcl 4.1;

# Varnish without vmods keeps countermark's pictures and forgets what is revoked, by bans on the field `xkey` of each answer.
# A ban is compared with every object that is kept; for more than some thousands take varnish-xkey.vcl.

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
        # What is no list of tags could be another ban than was meant.
        if (req.http.xkey-purge !~ "^[a-z]-[0-9a-f]{16}( [a-z]-[0-9a-f]{16})*$") {
            return (synth(400));
        }
        ban("obj.http.xkey ~ (" + regsuball(req.http.xkey-purge, " ", "|") + ")");
        return (synth(200, "Banned"));
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
