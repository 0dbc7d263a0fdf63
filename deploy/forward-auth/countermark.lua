-- Asks countermark about a request, over HAProxy's own HTTP client, and leaves the answer in variables of the transaction.

local VERIFY = "http://127.0.0.1:8080/verify"

-- What a decision may depend on: formats that the viewer takes, credentials outside of the URL.
local PASSED_ON = { "accept", "cookie", "authorization", "x-forwarded-for", "signature", "signature-input" }

core.register_action("countermark_verify", { "http-req" }, function(txn)
    local viewer = txn.http:req_get_headers()
    local question = {
        ["x-original-uri"] = { txn.sf:pathq() },
        ["x-original-method"] = { txn.sf:method() },
        ["x-forwarded-host"] = { txn.sf:req_hdr("host") },
    }
    for _, name in ipairs(PASSED_ON) do
        if viewer[name] then
            question[name] = {}
            for index, value in pairs(viewer[name]) do
                question[name][index + 1] = value
            end
        end
    end
    local answer = core.httpclient():get({ url = VERIFY, headers = question, timeout = 2000 })
    txn:set_var("txn.countermark_status", answer and answer.status or 0)
    for variable, field in pairs({ key = "cache-key", cache_control = "cache-control", reason = "reason" }) do
        local told = answer and answer.headers and answer.headers["countermark-" .. field]
        txn:set_var("txn.countermark_" .. variable, told and told[0] or "")
    end
end)
