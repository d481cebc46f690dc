Code.require_file("signer.ex", __DIR__)

for line <- IO.stream(:stdio, :line) do
  fields = line |> String.split() |> Enum.map(&Base.decode16!(&1, case: :lower))
  IO.puts(apply(Signer, :sign, fields))
end
