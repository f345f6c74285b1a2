package analyze

import "bugcheck/report"

// rule is what is special about one stop code. Nil functions stand for the
// general path.
type rule struct {
	collect  func(c *collection) // finds the right context and the objects the parameters point to
	judge    func(j *judgement)  // evidence, cause, and culprit where the stack does not decide
	class    func(f *Facts) string
	happened func(f *Facts) report.Text // what happened, as a clause: "it read freed memory"
}

// rules by base code. Adding a stop code: docs/adding-a-stop-code.md.
var rules = map[uint32]rule{
	0x01:       {judge: judge1},
	0x0a:       {collect: collectAccess, judge: judgeAccess, class: classAccess, happened: happenedAccess},
	0x18:       {judge: judge18},
	0x19:       {judge: judgePoolHeader, class: class19, happened: happenedPool},
	0x1a:       {judge: judge1A, class: class1A, happened: happened1A},
	0x1e:       {collect: collect1E, judge: judgeException, class: class1E, happened: happenedException},
	0x20:       {judge: judge20, class: class20},
	0x32:       {judge: judgeBoot},
	0x35:       {judge: judge35},
	0x36:       {judge: judge36},
	0x3b:       {collect: collect3B, judge: judgeException, class: classException, happened: happenedException},
	0x3f:       {judge: judge3F},
	0x44:       {judge: judge44},
	0x4a:       {judge: judge4A},
	0x4d:       {judge: judgeDirty},
	0x4e:       {class: class4E},
	0x50:       {collect: collect50, judge: judge50, class: class50, happened: happened50},
	0x51:       {judge: judgeRegistry},
	0x67:       {judge: judgeBoot},
	0x6b:       {judge: judgeBoot},
	0x6d:       {judge: judgeBoot},
	0x6e:       {judge: judgeBoot},
	0x6f:       {judge: judgeBoot},
	0x70:       {judge: judgeBoot},
	0x71:       {judge: judgeBoot},
	0x73:       {judge: judgeRegistry},
	0x74:       {judge: judgeRegistry},
	0x75:       {judge: judgeRegistry},
	0x76:       {judge: judge76},
	0x77:       {judge: judge77, happened: happened77},
	0x7a:       {judge: judge7A, happened: happened7A},
	0x7b:       {collect: collect7B, judge: judge7B, happened: happened7B},
	0x7e:       {collect: collect7E, judge: judgeException, class: classException, happened: happenedException},
	0x7f:       {collect: collect7F, judge: judge7F, class: class7F, happened: happened7F},
	0x80:       {judge: judge80},
	0x8e:       {collect: collect8E, judge: judgeException, class: class8E, happened: happenedException},
	0x9c:       {judge: judge9C},
	0x9f:       {collect: collect9F, judge: judge9F, class: class9F, happened: happened9F},
	0xa5:       {judge: judgeA5},
	0xab:       {judge: judgeAB},
	0xb8:       {judge: judgeB8},
	0xbe:       {collect: collectBE, judge: judgeBE, happened: happenedBE},
	0xc1:       {judge: judgeC1, happened: happenedC1},
	0xc2:       {judge: judgePoolCaller, class: classC2, happened: happenedPool},
	0xc4:       {judge: judgeC4, class: classC4, happened: happenedC4},
	0xc5:       {collect: collectC5, judge: judgeC5, happened: happenedPool},
	0xc8:       {judge: judgeC8},
	0xcb:       {judge: judgeCB},
	0xd0:       {collect: collectAccess, judge: judgeAccess, happened: happenedAccess},
	0xd1:       {collect: collectAccess, judge: judgeAccess, class: classAccess, happened: happenedAccess},
	0xd3:       {collect: collectAccess, judge: judgeAccess, happened: happenedAccess},
	0xdb:       {collect: collectAccess, judge: judgeAccess, happened: happenedAccess},
	0xe0:       {judge: judgeFirmware},
	0xe1:       {judge: judgeE1},
	0xe2:       {judge: judgeE2, happened: happenedE2},
	0xeb:       {judge: judgeDirty},
	0xed:       {judge: judgeED, happened: happenedED},
	0xef:       {judge: judgeEF, happened: happenedEF},
	0xfd:       {judge: judgeDirty},
	0x101:      {collect: collect101, judge: judge101, class: class101, happened: happened101},
	0x111:      {judge: judge80},
	0x116:      {judge: judge116, class: class116, happened: happened116},
	0x117:      {judge: judge116, class: class116, happened: happened116},
	0x122:      {judge: judge122},
	0x124:      {collect: collect124, judge: judge124, class: class124, happened: happened124},
	0x133:      {collect: collect133, judge: judge133, class: class133, happened: happened133},
	0x139:      {collect: collect139, judge: judge139, class: class139, happened: happened139},
	0x13a:      {judge: judge13A, class: class13A, happened: happenedPool},
	0x141:      {judge: judge116, class: class116, happened: happened116},
	0x14b:      {collect: collect14B, judge: judge14B},
	0x157:      {judge: judge157},
	0x15d:      {collect: collect14B, judge: judge14B},
	0x161:      {judge: judgeRequested},
	0x189:      {judge: judge189},
	0x1aa:      {judge: judge1AA},
	0x1ab:      {judge: judge1AA},
	0x1c8:      {judge: judge1C8, happened: happened1C8},
	0x1d0:      {judge: judgeFirmware},
	0x21c8:     {judge: judgeRequested},
	0xc0000218: {judge: judgeRegistry},
	0xc000021a: {judge: judge21A},
	0xc0000221: {judge: judge221},
	0xdeaddead: {judge: judgeE2, happened: happenedE2},
}

func ruleFor(code uint32) rule { return rules[code] }

// find runs the rule's own search for the fault's context.
func (r rule) find(c *collection) {
	if r.collect != nil {
		r.collect(c)
	}
}
