//! Asks the crate kdmp-parser about a dump: what its header says and how many pages it has.
//!
//! On standard input stand questions, one a line, answered one a line:
//!
//!     p PA        the first 16 bytes at a physical address
//!     v CR3 VA    the physical address, and 16 bytes there
//!
//! A page that is not there is answered with "-". With --time nothing is printed but
//! nanoseconds: of opening, and of each look-up and each translation, repeated until they
//! take long enough to be measured.
use kdmp_parser::gxa::{Gpa, Gva};
use kdmp_parser::parse::KernelDumpParser;
use kdmp_parser::{phys, virt};
use std::hint::black_box;
use std::io::{self, BufRead, BufWriter, Write};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

enum Question {
    Physical(u64),
    Virtual(u64, u64),
}

fn main() -> Result<(), Failure> {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let timed = args.first().is_some_and(|a| a == "--time");
    if timed {
        args.remove(0);
    }
    let [path] = args.as_slice() else {
        return Err("usage: kdmp [--time] DUMP < QUESTIONS".into());
    };
    let start = Instant::now();
    let dump = KernelDumpParser::new(path)?;
    let open = start.elapsed();
    let questions = questions()?;
    if timed {
        return time(&dump, open, &questions);
    }
    let mut out = BufWriter::new(io::stdout().lock());
    summary(&dump, &mut out)?;
    for q in &questions {
        answer(&dump, q, &mut out)?;
    }
    Ok(out.flush()?)
}

fn questions() -> Result<Vec<Question>, Failure> {
    let mut all = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let number = |s: &str| u64::from_str_radix(s.trim_start_matches("0x"), 16);
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["p", pa] => all.push(Question::Physical(number(pa)?)),
            ["v", cr3, va] => all.push(Question::Virtual(number(cr3)?, number(va)?)),
            _ => return Err(format!("no question: {line}").into()),
        }
    }
    Ok(all)
}

fn summary(dump: &KernelDumpParser, out: &mut impl Write) -> Result<(), Failure> {
    let h = dump.headers();
    writeln!(out, "type {:?}", dump.dump_type())?;
    writeln!(out, "pages {}", dump.physmem().len())?;
    writeln!(out, "build {}", h.minor_version)?;
    writeln!(out, "machine {:#x}", h.machine_image_type)?;
    writeln!(out, "processors {}", h.number_processors)?;
    writeln!(out, "cr3 {:#x}", h.directory_table_base)?;
    writeln!(out, "code {:#x}", h.bug_check_code)?;
    for (i, p) in h.bug_check_code_parameters.iter().enumerate() {
        writeln!(out, "parameter{} {:#x}", i + 1, p)?;
    }
    writeln!(out, "debuggerdata {:#x}", h.kd_debugger_data_block)?;
    writeln!(
        out,
        "exception {:#x}",
        dump.exception_record().exception_code
    )?;
    let c = dump.context_record();
    for (name, value) in [
        ("rax", c.rax),
        ("rbx", c.rbx),
        ("rcx", c.rcx),
        ("rdx", c.rdx),
        ("rsi", c.rsi),
        ("rdi", c.rdi),
        ("rsp", c.rsp),
        ("rbp", c.rbp),
        ("r8", c.r8),
        ("r9", c.r9),
        ("r10", c.r10),
        ("r11", c.r11),
        ("r12", c.r12),
        ("r13", c.r13),
        ("r14", c.r14),
        ("r15", c.r15),
        ("rip", c.rip),
    ] {
        writeln!(out, "{name} {value:#x}")?;
    }
    for (at, name) in dump.kernel_modules() {
        writeln!(
            out,
            "driver {:#x} {:#x} {name}",
            u64::from(at.start),
            u64::from(at.end)
        )?;
    }
    for (at, name) in dump.user_modules() {
        writeln!(
            out,
            "library {:#x} {:#x} {name}",
            u64::from(at.start),
            u64::from(at.end)
        )?;
    }
    Ok(())
}

fn answer(dump: &KernelDumpParser, q: &Question, out: &mut impl Write) -> Result<(), Failure> {
    let mut bytes = [0u8; 16];
    match *q {
        Question::Physical(pa) => {
            let ok = phys::Reader::new(dump).read_exact(Gpa::new(pa), &mut bytes);
            writeln!(out, "p {pa:#x} {}", text(ok.ok().map(|()| bytes)))?;
        }
        Question::Virtual(cr3, va) => {
            let space = virt::Reader::with_dtb(dump, Gpa::new(cr3));
            let ok = space.read_exact(Gva::new(va), &mut bytes);
            match space.translate(Gva::new(va)) {
                Ok(t) => writeln!(
                    out,
                    "v {va:#x} {:#x} {}",
                    u64::from(t.gpa()),
                    text(ok.ok().map(|()| bytes))
                )?,
                Err(_) => writeln!(out, "v {va:#x} - -")?,
            }
        }
    }
    Ok(())
}

fn text(bytes: Option<[u8; 16]>) -> String {
    match bytes {
        Some(b) => b.iter().map(|b| format!("{b:02x}")).collect(),
        None => "-".into(),
    }
}

fn time(dump: &KernelDumpParser, open: Duration, questions: &[Question]) -> Result<(), Failure> {
    println!("open {}", open.as_nanos());
    println!(
        "modules {}",
        dump.kernel_modules().len() + dump.user_modules().len()
    );
    let (mut pages, mut addresses) = (Vec::new(), Vec::new());
    for q in questions {
        match *q {
            Question::Physical(pa) => pages.push(Gpa::new(pa)),
            Question::Virtual(cr3, va) => addresses.push((Gpa::new(cr3), Gva::new(va))),
        }
    }
    let physical = phys::Reader::new(dump);
    println!(
        "lookup {:.1}",
        each(&pages, |pa| {
            let _ = black_box(physical.translate(*pa));
        })
    );
    let mut word = [0u8; 8];
    println!(
        "physical {:.1}",
        each(&pages, |pa| {
            let _ = black_box(physical.read(*pa, &mut word));
        })
    );
    println!(
        "translate {:.1}",
        each(&addresses, |(cr3, va)| {
            let _ = black_box(virt::Reader::with_dtb(dump, *cr3).translate(*va));
        })
    );
    let mut page = [0u8; 0x1000];
    println!(
        "read {:.1}",
        each(&addresses, |(cr3, va)| {
            let _ = black_box(virt::Reader::with_dtb(dump, *cr3).read(*va, &mut page));
        })
    );
    Ok(())
}

/// The nanoseconds of one call of f, over all of the items, again and again for 0.2 s.
fn each<T>(items: &[T], mut f: impl FnMut(&T)) -> f64 {
    if items.is_empty() {
        return 0.0;
    }
    let start = Instant::now();
    let mut calls = 0u32;
    while start.elapsed() < Duration::from_millis(200) {
        items.iter().for_each(&mut f);
        calls += u32::try_from(items.len()).unwrap_or(u32::MAX);
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(calls)
}
