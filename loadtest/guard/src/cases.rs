//! What valgrind watches: each measured path is taken often enough that its average is steady, after it was taken
//! before, so that nothing is measured that happens once.

mod measured;
mod stage;

use std::error::Error;

use lanyard_token::Algorithm;

use stage::{Callers, Mint};

/// Calls of each path. Simulated, all of them take a few seconds.
const CALLS: usize = 256;
/// Calls of it that are not counted, before.
const WARMING: usize = 64;

/// Takes every path.
pub(crate) fn play() -> Result<(), Box<dyn Error>> {
    seen()?;
    first_seen()?;
    minting()?;
    drift();
    scopes()?;
    Ok(())
}

fn seen() -> Result<(), Box<dyn Error>> {
    let mint = Mint::new(Algorithm::EdDsa)?;
    let callers = Callers::new(&mint)?;
    let token = mint.token(1)?;
    for _ in 0..WARMING {
        callers.call(&token)?;
    }
    callers.look_at_notes();
    for _ in 0..CALLS {
        measured::seen_token(&callers, &token)?;
    }
    Ok(())
}

fn first_seen() -> Result<(), Box<dyn Error>> {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let mint = Mint::new(algorithm)?;
        let callers = Callers::new(&mint)?;
        let numbers = 1..=(WARMING + CALLS) as u64;
        let tokens: Vec<String> = numbers
            .map(|number| mint.token(number))
            .collect::<Result<_, _>>()?;
        let (warming, counted) = tokens.split_at(WARMING);
        for token in warming {
            callers.call(token)?;
        }
        callers.look_at_notes();
        for token in counted {
            // The same text and the same signature: an Ed25519 check takes longer for some than for others.
            let (message, signature) = stage::parts(token)?;
            match algorithm {
                Algorithm::Es256 => {
                    measured::verify_es256(mint.public(), message, &signature)?;
                    measured::first_seen_es256(&callers, token)?;
                }
                Algorithm::EdDsa => {
                    measured::verify_eddsa(mint.public(), message, &signature)?;
                    measured::first_seen_eddsa(&callers, token)?;
                }
            }
        }
    }
    Ok(())
}

fn minting() -> Result<(), Box<dyn Error>> {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let mint = Mint::new(algorithm)?;
        let claims = mint.claims(1);
        let token = mint.token(1)?;
        let (message, _) = stage::parts(&token)?;
        for _ in 0..WARMING {
            mint.token(1)?;
        }
        for _ in 0..CALLS {
            match algorithm {
                Algorithm::Es256 => {
                    measured::sign_es256(mint.pair(), message)?;
                    measured::mint_es256(&mint, &claims)?;
                }
                Algorithm::EdDsa => {
                    measured::sign_eddsa(mint.pair(), message)?;
                    measured::mint_eddsa(&mint, &claims)?;
                }
            }
        }
    }
    Ok(())
}

fn drift() {
    let mut watched = stage::Watched::new();
    for turn in 0..WARMING {
        watched.watch(turn);
    }
    for turn in WARMING..WARMING + CALLS {
        measured::drift_update(&mut watched, turn);
        measured::accumulator(&watched, turn);
    }
}

fn scopes() -> Result<(), Box<dyn Error>> {
    let (needed, had) = stage::scopes()?;
    for _ in 0..CALLS {
        if !measured::scope_check(&needed, &had) {
            return Err("the scopes do not cover what is needed".into());
        }
    }
    Ok(())
}
