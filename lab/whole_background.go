package lab

// background is what the rest of a server keeps in pool: tag, paged, bytes of a block, count.
var background = []struct {
	tag   string
	paged bool
	size  uint64
	count int
}{
	{"MmSt", true, 0x8000, 300}, {"CM31", true, 0x1000, 2600}, {"CM25", true, 0x1000, 900}, {"Toke", true, 0x6c0, 420},
	{"NtfF", true, 0x500, 600}, {"Ntff", true, 0x180, 800}, {"FMfn", true, 0x1b0, 700}, {"ObNm", true, 0x60, 500},
	{"Sect", true, 0x140, 240}, {"Key ", true, 0x160, 450}, {"SeAt", true, 0x80, 200}, {"PfFK", true, 0x11000, 30},
	{"EtwB", false, 0x10000, 150}, {"File", false, 0x1a0, 700}, {"Even", false, 0x80, 500}, {"Sema", false, 0xa0, 120},
	{"MmCa", false, 0x170, 600}, {"Vad ", false, 0xa0, 900}, {"VadS", false, 0x60, 800}, {"Pool", false, 0x1000, 60},
	{"NDnb", false, 0x2000, 90}, {"AfdE", false, 0x1e0, 120}, {"TcpE", false, 0x400, 90}, {"vSCi", false, 0x9000, 20},
	{"Wnf ", true, 0x90, 300}, {"ALPC", false, 0x240, 250}, {"smNp", false, 0x1000, 200}, {"ConT", false, 0x10000, 40},
}

// buildBackground fills both pools with what drivers and processes keep, and gives each tag
// a past: what was allocated and freed before.
func (s *System) buildBackground() {
	for _, b := range background {
		for i := 0; i < b.count && s.err == nil; i++ {
			s.alloc(b.tag, b.size, b.paged)
		}
	}
	for i, t := range s.pool.order {
		for k := range t.kinds {
			if n := &t.kinds[k]; n.allocs > 0 {
				past := n.allocs*uint64(3+i%17) + uint64(i%5)
				n.allocs += past
				n.frees += past
			}
		}
	}
}
