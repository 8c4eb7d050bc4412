fn main() { println!("greenlight"); }
