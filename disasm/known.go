package disasm

import (
	"strconv"
	"strings"
)

// entry is an instruction that x86asm does not know, or calls by another name.
type entry struct {
	// name ends with * where d or q follows, with + where 64 may.
	name string
	// operands, a letter each. By the last bits of ModR/M: r is a register of 4
	// bytes or 8, d one of 4, R one as wide as a pointer, E memory or R, V memory
	// or xmm; M is memory, with its size in bytes (y: 4 or 8), and w if it is
	// written. By the bits in the middle: G as r, P as R, X as xmm.
	operands string
}

// lookUp finds an instruction in the tables.
func (x *x86) lookUp() (entry, bool) {
	if x.encoding == vex && x.table == map0F && x.opcode == 0x77 {
		return [...]entry{{"vzeroupper", ""}, {"vzeroall", ""}}[x.long], true
	}
	if x.encoding != legacy || x.table == oneByte || x.table == map0F3A {
		return entry{}, false
	}
	reg, mod3 := x.modrm>>3&7, x.modrm >= 0xc0
	if x.table == map0F38 {
		e, ok := known38[key38{x.opcode, x.pp}]
		return e, ok && (x.hasMem || !strings.Contains(e.operands, "M"))
	}
	switch x.opcode {
	case 0x01:
		if mod3 {
			e, ok := known01[key01{x.modrm, x.pp}]
			return e, ok
		}
		if reg == 5 && x.pp == 2 {
			return entry{"rstorssp", "M8"}, true
		}
	case 0x1e:
		if x.pp == 2 && mod3 {
			return x.hint()
		}
	case 0x78, 0x79:
		return [...]entry{{"vmread", "EP"}, {"vmwrite", "PE"}}[x.opcode-0x78], x.pp == 0
	case 0x0d, 0x1c, 0xae, 0xc7:
		e, ok := known0F[key0F{x.opcode, reg, x.pp, mod3}]
		return e, ok
	case 0x09:
		return entry{"wbnoinvd", ""}, x.pp == 2
	case 0x37:
		return entry{"getsec", ""}, x.pp == 0
	}
	return entry{}, false
}

// spare finds an instruction that x86asm knows in some of its forms.
func (x *x86) spare() (entry, bool) {
	if x.encoding != legacy {
		return entry{}, false
	}
	reg := x.modrm >> 3 & 7
	switch {
	case x.table == oneByte:
		return entry{"salc", ""}, x.opcode == 0xd6
	case x.table == map0F3A:
		e, ok := spare3A[key38{x.opcode, x.pp}]
		return e, ok
	case x.table == map0F38:
		e, ok := spare38[key38{x.opcode, x.pp}]
		return e, ok && (x.hasMem || !strings.Contains(e.operands, "M"))
	case x.opcode == 0x01 && x.pp == 1:
		e, ok := known01[key01{x.modrm, 0}]
		return e, ok
	case x.opcode >= 0x18 && x.opcode <= 0x1f:
		return entry{"nop", "E"}, true
	case x.opcode == 0xae && x.modrm >= 0xe8:
		return entry{[...]string{"lfence", "mfence", "sfence"}[reg-5], ""}, x.pp == 0
	case x.opcode == 0xc7 && x.modrm >= 0xf0:
		return entry{[...]string{"rdrand", "rdseed"}[reg-6], "r"}, x.pp < 2
	}
	e, ok := spare0F[x.opcode]
	return e, ok
}

var spare0F = map[byte]entry{
	0x05: {"syscall", ""}, 0x07: {"sysret", ""}, 0x0d: {"prefetch", "E"}, 0x0e: {"femms", ""}, 0x0f: {"3dnow", "E"},
	0x37: {"getsec", ""}, 0xb9: {"ud1", "GE"}, 0xff: {"ud0", "GE"},
}

var spare38 = map[key38]entry{
	{0xf6, 1}: {"adcx", "Gr"}, {0xf6, 2}: {"adox", "Gr"}, {0xf9, 1}: {"movdiri", "MyG"},
}

var spare3A = map[key38]entry{
	{0xcc, 0}: {"sha1rnds4", "XVi"}, {0xce, 1}: {"gf2p8affineqb", "XVi"}, {0xcf, 1}: {"gf2p8affineinvqb", "XVi"},
}

// hint is one of the no-operations that control-flow enforcement gives a sense.
func (x *x86) hint() (entry, bool) {
	switch {
	case x.modrm == 0xfa:
		return entry{"endbr64", ""}, true
	case x.modrm == 0xfb:
		return entry{"endbr32", ""}, true
	case x.modrm>>3&7 == 1:
		return entry{"rdssp*", "r"}, true
	}
	return entry{"nop", "r"}, true
}

// known writes an instruction of the tables.
func (x *x86) known(e entry) {
	name, isStar := strings.CutSuffix(e.name, "*")
	name, isPlus := strings.CutSuffix(name, "+")
	switch {
	case isStar && x.wide:
		name += "q"
	case isStar:
		name += "d"
	case isPlus && x.wide:
		name += "64"
	}
	x.out.Mnemonic = name
	b := x.begin(name)
	for i := 0; i < len(e.operands); i++ {
		c := e.operands[i]
		if c >= '0' && c <= '9' || c == 'w' || c == 'y' {
			continue // of M
		}
		if b[len(b)-1] != ' ' {
			b = append(b, ',')
		}
		b = append(b, x.operandText(c, e.operands[i+1:])...)
	}
	x.out.Text = strings.TrimRight(string(b), " ")
}

// operandText is one operand; what stands behind M is its size.
func (x *x86) operandText(c byte, size string) string {
	middle, last := x.modrm>>3&7|x.r, x.modrm&7|x.b
	switch c {
	case 'i':
		return string(appendHex(nil, uint64(byte(x.immediate))))
	case 'r':
		if x.hasMem {
			return x.memoryText(x.bytes(), false)
		}
		return x.sized(last, x.wide)
	case 'd':
		return registers32[last]
	case 'R':
		return x.sized(last, x.bits == 64)
	case 'G':
		return x.sized(middle, x.wide)
	case 'P':
		return x.sized(middle, x.bits == 64)
	case 'X':
		return "xmm" + strconv.Itoa(int(middle))
	case 'V':
		if !x.hasMem {
			return "xmm" + strconv.Itoa(int(last))
		}
		return x.memoryText(16, false)
	case 'E':
		if !x.hasMem {
			return x.sized(last, x.bits == 64)
		}
		return x.memoryText(x.bits/8, x.opcode == 0x78)
	}
	size, written := strings.CutSuffix(size, "w")
	n, err := strconv.Atoi(size)
	if err != nil { // y, and a letter behind it
		n, written = x.bytes(), true
	}
	return x.memoryText(n, written)
}

// bytes is the size of an operand that W makes wide.
func (x *x86) bytes() int {
	if x.wide {
		return 8
	}
	return 4
}

func (x *x86) sized(n byte, wide bool) string {
	if wide {
		return registers64[n]
	}
	return registers32[n]
}

// memoryText notes the operand in memory and writes it.
func (x *x86) memoryText(size int, written bool) string {
	m := x.memory
	m.Size, m.Read, m.Write = size, !written, written
	if !untouched[x.out.Mnemonic] {
		x.out.Memory = append(x.out.Memory, m)
	}
	if name := sizes[size]; name != "" {
		return name + " ptr " + m.String()
	}
	return m.String()
}

type key01 struct{ modrm, pp byte }

// known01 are the instructions behind 0F 01 without an operand in memory.
var known01 = map[key01]entry{
	{0xc0, 0}: {"enclv", ""}, {0xc1, 0}: {"vmcall", ""}, {0xc2, 0}: {"vmlaunch", ""}, {0xc3, 0}: {"vmresume", ""},
	{0xc4, 0}: {"vmxoff", ""}, {0xc5, 0}: {"pconfig", ""}, {0xc6, 0}: {"wrmsrns", ""}, {0xc8, 0}: {"monitor", ""},
	{0xc9, 0}: {"mwait", ""}, {0xca, 0}: {"clac", ""}, {0xcb, 0}: {"stac", ""}, {0xcf, 0}: {"encls", ""},
	{0xd0, 0}: {"xgetbv", ""}, {0xd1, 0}: {"xsetbv", ""}, {0xd4, 0}: {"vmfunc", ""}, {0xd5, 0}: {"xend", ""},
	{0xd6, 0}: {"xtest", ""}, {0xd7, 0}: {"enclu", ""}, {0xd8, 0}: {"vmrun", ""}, {0xd9, 0}: {"vmmcall", ""},
	{0xda, 0}: {"vmload", ""}, {0xdb, 0}: {"vmsave", ""}, {0xdc, 0}: {"stgi", ""}, {0xdd, 0}: {"clgi", ""},
	{0xde, 0}: {"skinit", ""}, {0xdf, 0}: {"invlpga", ""}, {0xe8, 0}: {"serialize", ""}, {0xe8, 2}: {"setssbsy", ""},
	{0xe8, 3}: {"xsusldtrk", ""}, {0xe9, 3}: {"xresldtrk", ""}, {0xea, 2}: {"saveprevssp", ""},
	{0xec, 2}: {"uiret", ""}, {0xed, 2}: {"testui", ""}, {0xee, 2}: {"clui", ""}, {0xef, 2}: {"stui", ""},
	{0xee, 0}: {"rdpkru", ""}, {0xef, 0}: {"wrpkru", ""}, {0xf8, 0}: {"swapgs", ""}, {0xf9, 0}: {"rdtscp", ""},
	{0xfa, 0}: {"monitorx", ""}, {0xfb, 0}: {"mwaitx", ""}, {0xfc, 0}: {"clzero", ""}, {0xfd, 0}: {"rdpru", ""},
	{0xfe, 0}: {"invlpgb", ""}, {0xff, 0}: {"tlbsync", ""},
}

type key0F struct {
	opcode, reg, pp byte
	register        bool // ModR/M names a register
}

// known0F are the instructions behind 0F that share an opcode.
var known0F = map[key0F]entry{
	{0x0d, 2, 0, false}: {"prefetchwt1", "M0"},
	{0x1c, 0, 0, false}: {"cldemote", "M0"},
	{0xae, 0, 2, true}:  {"rdfsbase", "r"}, {0xae, 1, 2, true}: {"rdgsbase", "r"},
	{0xae, 2, 2, true}: {"wrfsbase", "r"}, {0xae, 3, 2, true}: {"wrgsbase", "r"},
	{0xae, 4, 2, true}: {"ptwrite", "r"}, {0xae, 4, 2, false}: {"ptwrite", "M4"},
	{0xae, 5, 2, true}: {"incssp*", "r"}, {0xae, 6, 2, true}: {"umonitor", "R"},
	{0xae, 6, 3, true}: {"umwait", "d"}, {0xae, 6, 1, true}: {"tpause", "d"},
	{0xae, 6, 1, false}: {"clwb", "M64"}, {0xae, 7, 1, false}: {"clflushopt", "M64"},
	{0xae, 6, 2, false}: {"clrssbsy", "M8w"},
	{0xc7, 3, 0, false}: {"xrstors+", "M0"}, {0xc7, 4, 0, false}: {"xsavec+", "M0w"}, {0xc7, 5, 0, false}: {"xsaves+", "M0w"},
	{0xc7, 6, 0, false}: {"vmptrld", "M8"}, {0xc7, 6, 1, false}: {"vmclear", "M8"}, {0xc7, 6, 2, false}: {"vmxon", "M8"},
	{0xc7, 7, 0, false}: {"vmptrst", "M8w"}, {0xc7, 7, 2, true}: {"rdpid", "R"},
	{0xc7, 6, 2, true}: {"senduipi", "R"},
}

type key38 struct{ opcode, pp byte }

// known38 are instructions behind 0F 38.
var known38 = map[key38]entry{
	{0x80, 1}: {"invept", "PM16"}, {0x81, 1}: {"invvpid", "PM16"}, {0x82, 1}: {"invpcid", "PM16"},
	{0xf5, 1}: {"wruss*", "MyG"}, {0xf6, 0}: {"wrss*", "MyG"},
	{0xf8, 1}: {"movdir64b", "PM64"}, {0xf8, 2}: {"enqcmds", "PM64"}, {0xf8, 3}: {"enqcmd", "PM64"},
	{0xf9, 0}: {"movdiri", "MyG"},
	{0xc8, 0}: {"sha1nexte", "XV"}, {0xc9, 0}: {"sha1msg1", "XV"}, {0xca, 0}: {"sha1msg2", "XV"},
	{0xcb, 0}: {"sha256rnds2", "XV"}, {0xcc, 0}: {"sha256msg1", "XV"}, {0xcd, 0}: {"sha256msg2", "XV"},
	{0xcf, 1}: {"gf2p8mulb", "XV"},
}
