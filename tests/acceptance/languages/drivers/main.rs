mod signer;

fn text(fields: &[&str], index: usize) -> Option<String> {
    fields.get(index).map(|field| String::from_utf8(hex::decode(field).unwrap()).unwrap())
}

fn main() {
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let fields: Vec<&str> = line.split(' ').collect();
        println!("{}", signer::sign(ARGUMENTS));
    }
}
