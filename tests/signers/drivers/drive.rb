# frozen_string_literal: true

# Signs the vectors of a file with the Ruby signer: `drive.rb SIGNER VECTORS` prints a JSON list of URLs and refusals.

require "json"
require File.expand_path(ARGV[0])

document = JSON.parse(File.read(ARGV[1], encoding: "UTF-8"))

results = document["vectors"].map do |vector|
  key = document["keys"][vector["key"]].transform_keys(&:to_sym)
  signer = CountermarkSigner.new(**key, audience: vector["audience"], base: vector["base"])
  { url: signer.url(vector["path"], vector["operations"], **vector["options"].transform_keys(&:to_sym)) }
rescue ArgumentError => e
  { refused: e.message }
end

puts JSON.generate(results)
