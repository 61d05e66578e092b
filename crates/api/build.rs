//! Has the program built anew when the web front end was.

fn main() {
    println!("cargo:rerun-if-changed=../../ui/dist/index.html");
}
