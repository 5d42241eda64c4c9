# Short names for what people do all day. `just --list` shows them.

# everything that must pass before a change lands
check:
    bash .ci/run

# a broker for a newcomer, on loopback
dev:
    cargo run --package lanyard -- dev

# the whole loop in a minute: baselines, a thief, a verdict, a recycled token
demo:
    cargo run --release --package lanyard -- demo

# tests of one package
test package:
    cargo test --package {{package}}

# format, then lint as CI does
lint:
    cargo fmt --all
    cargo clippy --workspace --all-targets -- --deny warnings

# policies: without fault, tested, and their matrix current
policy:
    cargo run --package lanyard -- policy check
    cargo run --package lanyard -- policy test --strict
    cargo run --package lanyard -- policy matrix --check
