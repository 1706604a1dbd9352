-- OCSP requests for wrk, in turn from a file with one request a line (env REQUESTS), starting at a random one.
-- Lines are hex DER for POST and the path of a GET otherwise; env VERB says which.
local made, n, i = {}, 0, 0

function init()
  local post = os.getenv("VERB") == "POST"
  for line in assert(io.open(os.getenv("REQUESTS"), "r")):lines() do
    if post then
      local body = line:gsub("%x%x", function(hex) return string.char(tonumber(hex, 16)) end)
      made[#made + 1] = wrk.format("POST", "/", {["Content-Type"] = "application/ocsp-request"}, body)
    else
      made[#made + 1] = wrk.format("GET", "/" .. line)
    end
  end
  n = #made
  math.randomseed(os.time())
  i = math.random(n)
end

function request()
  i = i % n + 1
  return made[i]
end
