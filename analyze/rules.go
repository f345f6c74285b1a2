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
	0x0a:  {collect: collectAccess, judge: judgeAccess, class: classAccess, happened: happenedAccess},
	0xd1:  {collect: collectAccess, judge: judgeAccess, class: classAccess, happened: happenedAccess},
	0x19:  {judge: judgePoolHeader, class: class19, happened: happenedPool},
	0x1a:  {collect: collect1A, judge: judge1A, class: class1A, happened: happened1A},
	0x1e:  {collect: collect1E, judge: judgeException, class: class1E, happened: happenedException},
	0x20:  {class: class20},
	0x39:  {judge: judge39, happened: happened39},
	0x3b:  {collect: collect3B, judge: judgeException, class: classException, happened: happenedException},
	0x4e:  {judge: judge4E, class: class4E, happened: happened4E},
	0x50:  {collect: collect50, judge: judge50, class: class50, happened: happened50},
	0x77:  {judge: judge77, happened: happened77},
	0x7a:  {judge: judge7A, happened: happened7A},
	0x7b:  {collect: collect7B, judge: judge7B, happened: happened7B},
	0x7e:  {collect: collect7E, judge: judgeException, class: classException, happened: happenedException},
	0x7f:  {collect: collect7F, judge: judge7F, class: class7F, happened: happened7F},
	0x8e:  {collect: collect8E, judge: judgeException, class: class8E, happened: happenedException},
	0x9f:  {collect: collect9F, judge: judge9F, class: class9F, happened: happened9F},
	0xbe:  {collect: collectBE, judge: judgeBE, happened: happenedBE},
	0xc1:  {judge: judgeC1, happened: happenedC1},
	0xc2:  {judge: judgePoolCaller, class: classC2, happened: happenedPool},
	0xc4:  {judge: judgeC4, class: classC4, happened: happenedC4},
	0xc5:  {collect: collectC5, judge: judgeC5, happened: happenedPool},
	0xe2:  {judge: judgeE2, happened: happenedE2},
	0xed:  {judge: judgeED, happened: happenedED},
	0xef:  {collect: collectEF, judge: judgeEF, happened: happenedEF},
	0x101: {collect: collect101, judge: judge101, class: class101, happened: happened101},
	0x116: {collect: collect116, judge: judge116, class: class116, happened: happened116},
	0x117: {collect: collect116, judge: judge116, class: class116, happened: happened116},
	0x141: {collect: collect116, judge: judge116, class: class116, happened: happened116},
	0x124: {collect: collect124, judge: judge124, class: class124, happened: happened124},
	0x133: {collect: collect133, judge: judge133, class: class133, happened: happened133},
	0x139: {collect: collect139, judge: judge139, class: class139, happened: happened139},
	0x13a: {judge: judge13A, class: class13A, happened: happenedPool},
	// Devices and watchdogs.
	0x24:  {collect: collect24, judge: judgeFileSystem, happened: happenedFileSystem},
	0x9c:  {judge: judge9C, happened: happened9C},
	0xa0:  {collect: collectA0, judge: judgeA0, happened: happenedA0},
	0xca:  {collect: collectCA, judge: judgeCA, happened: happenedCA},
	0xd0:  {collect: collectC5, judge: judgeC5, happened: happenedPool},
	0xe3:  {judge: judgeE3, happened: happenedE3},
	0xea:  {collect: collectEA, judge: judgeEA, happened: happenedEA},
	0xf4:  {collect: collectF4, judge: judgeF4, happened: happenedEF},
	0xfe:  {collect: collectFE, judge: judgeFE, happened: happenedUSB},
	0x10d: {collect: collect10D, judge: judge10D, happened: happened10D},
	0x10e: {judge: judgeVideo, happened: happenedVideo},
	0x113: {judge: judgeVideo, happened: happenedVideo},
	0x119: {judge: judgeVideo, happened: happenedVideo},
	0x144: {collect: collect144, judge: judge144, happened: happenedUSB},
	0x14f: {judge: judge14F, happened: happened14F},
	0x154: {collect: collect154, judge: judgeFileSystem, happened: happenedFileSystem},
	0x15e: {collect: collect15E, judge: judge15E, happened: happened15E},
	0x17e: {judge: judge17E, happened: happened17E},
	0x193: {judge: judgeVideo, happened: happenedVideo},
	0x19c: {collect: collect19C, judge: judge19C, happened: happened19C},
	0x1a1: {collect: collect1A1, judge: judge1A1, happened: happened1A1},
	0x1b8: {judge: judgeVideo, happened: happenedVideo},
	0x1ca: {collect: collect1CA, judge: judge1CA, happened: happened1CA},
	0x1cc: {collect: collect1CC, judge: judge1CC, happened: happened1CC},
	0x1d3: {judge: judge1D3, happened: happened1D3},
	0x1d5: {collect: collect1D5, judge: judge1D5, happened: happened1D5},
	0x1d6: {judge: judge1D6, happened: happened1D6},
	0x1c8: {judge: judge1C8, happened: happened1C8},
	// Memory, pool and driver verifier.
	0x2e:  {judge: judge2E, happened: happened2E},
	0x34:  {judge: judge34, happened: happened34},
	0x3f:  {judge: judgeD8, happened: happenedD8},
	0xb8:  {judge: judgeB8, happened: happenedB8},
	0xc6:  {judge: judgeC6, happened: happenedC6},
	0xc7:  {judge: judgeC7, happened: happenedC7},
	0xc9:  {judge: judgeC9, happened: happenedC9},
	0xa2:  {judge: judgeA2, happened: happenedA2},
	0xcf:  {collect: collectCC, judge: judgeCF, happened: happenedCF},
	0xd9:  {judge: judgeD9, happened: happenedD9},
	0xde:  {judge: judgeDE, happened: happenedPool},
	0xf1:  {judge: judgeF1, happened: happenedC4},
	0xf6:  {judge: judgeF1, happened: happenedC4},
	0x127: {judge: judge127, happened: happened127},
	0xcc:  {collect: collectCC, judge: judgeCC, happened: happenedCC},
	0xcd:  {collect: collectCC, judge: judgeCC, happened: happenedCC},
	0xce:  {collect: collectCE, judge: judgeCE, happened: happenedCE},
	0xd4:  {collect: collectCE, judge: judgeCE, happened: happenedCE},
	0xd5:  {collect: collectCC, judge: judgeCC, happened: happenedCC},
	0xd6:  {collect: collectCC, judge: judgeCC, happened: happenedCC},
	0xd8:  {judge: judgeD8, happened: happenedD8},
	0xda:  {judge: judgeDA, happened: happenedDA},
	0xdb:  {collect: collectAccess, judge: judgeDB, happened: happenedDB},
	0xe6:  {judge: judgeE6, happened: happenedE6},
	0xf7:  {judge: judgeF7, happened: happenedF7},
	0xfc:  {collect: collectFC, judge: judgeFC, happened: happenedFC},
	0x109: {judge: judge109, happened: happened109},
	0x12b: {judge: judge12B, happened: happened12B},
	0x1c7: {judge: judge1C7, happened: happened1C7},
}

func ruleFor(code uint32) rule { return rules[code] }

// find runs the rule's own search for the fault's context.
func (r rule) find(c *collection) {
	if r.collect != nil {
		r.collect(c)
	}
}
