//! Tells the code whether the parser leaves the process's standard error alone, which hangs on how its C was built.

fn main() {
    println!("cargo:rerun-if-env-changed=CFLAGS");
    println!("cargo:rustc-check-cfg=cfg(parser_leaves_stderr)");
    let flags = std::env::var("CFLAGS").unwrap_or_default();
    if flags.split_whitespace().any(|flag| flag == "-DDEBUG") {
        println!("cargo:rustc-cfg=parser_leaves_stderr");
    }
}
