require_relative "signer"

$stdin.each_line do |line|
  puts sign(*line.split.map { |field| [field].pack("H*").force_encoding("UTF-8") })
end
