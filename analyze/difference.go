package analyze

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"bugcheck/kernel"
	"bugcheck/report"
	"bugcheck/windbglog"
)

// The reasons for which a debugger's answer differs from ours, each found by a
// rule that holds for every log.
const (
	SameAnswer       = ""
	OldForm          = "old form"                 // the same bucket, as older debuggers write it
	VerifierOn       = "verifier"                 // the same bucket but for _VRF: the log does not show that verifier was on
	LetterCase       = "letter case"              // the same bucket but for it; the hash is the same
	WrongSymbols     = "wrong symbols"            // the debugger had symbols of another build
	OldImage         = "old image"                // the debugger judged by the driver's age
	CodeCompared     = "code compared"            // it compared code in memory with the image
	Inconclusive     = "inconclusive"             // it named nobody
	NoStack          = "no stack in the log"      // it saw more than it printed
	NoParameters     = "no parameters in the log" // likewise
	NotOnStack       = "not on the stack"         // it found the module in data that the log does not show
	DriverOverSystem = "driver over Windows"      // we name a driver, it names a part of Windows
	BucketOnly       = "bucket"                   // the same module, another class or function
	AnotherRule      = "another rule"
)

// differences are the reasons in an operator's words.
var differences = map[string]report.Text{
	OldForm:          report.T("The debugger was an old one, which wrote the same failure bucket in an older form."),
	VerifierOn:       report.T("The debugger knew that driver verifier was on (_VRF in the failure bucket); the log does not show it."),
	LetterCase:       report.T("The failure buckets differ only in the case of letters, which does not change their hash."),
	WrongSymbols:     report.T("The debugger had symbol files of another build of Windows and gave up; its answer says nothing of the crash."),
	OldImage:         report.T("The debugger stopped at the driver's date, which it found too old, and did not go on."),
	CodeCompared:     report.T("The debugger compared code in memory with the files it came from; the log does not show enough to do that again."),
	Inconclusive:     report.T("The debugger came to no conclusion."),
	NoStack:          report.T("The log shows no stack; the debugger saw it and judged by it."),
	NoParameters:     report.T("The log lacks the stop code's parameters; the debugger had them."),
	NotOnStack:       report.T("What the debugger names is not on the stack; it found it in data of the dump that the log does not show."),
	DriverOverSystem: report.T("The debugger names a part of Windows; here the driver that called it is named, because parts of Windows fail mostly on what drivers hand them."),
	BucketOnly:       report.T("Both name the same module; the failure buckets differ in how they describe the failure."),
	AnotherRule:      report.T("The debugger goes by a rule of its own that is not published."),
}

// Difference says why the debugger's answer is not ours; "" where it is.
func Difference(l *windbglog.Log, f *Facts, v *report.Verdict) string {
	s := l.Said
	image := s.Image == "" || SameImage(v.Image, s.Image)
	switch {
	case image && (s.Bucket == "" || s.Bucket == v.Bucket):
		return SameAnswer
	case strings.HasPrefix(s.Bucket, "WRONG_SYMBOLS") || strings.Contains(s.Image, "wrong.symbols"):
		return WrongSymbols
	case strings.HasPrefix(s.Bucket, "OLD_IMAGE_"):
		return OldImage
	case image && strings.EqualFold(s.Bucket, v.Bucket):
		return LetterCase
	case image && isOldForm(f, v, s.Bucket):
		return OldForm
	case image && isOldForm(f, v, strings.Replace(s.Bucket, "_VRF_", "_", 1)):
		return VerifierOn
	case strings.Contains(s.Bucket, "MEMORY_CORRUPTION_"):
		return CodeCompared
	case strings.Contains(s.Bucket, "ANALYSIS_INCONCLUSIVE") || s.Module == "Unknown_Module":
		return Inconclusive
	case len(l.Frames) == 0:
		return NoStack
	case len(l.Arguments) == 0:
		return NoParameters
	case !image && !onStack(f, s):
		return NotOnStack
	case !image && thirdParty(v.Image) && v.Cause == report.CauseDriver && !thirdParty(s.Image):
		return DriverOverSystem
	case image:
		return BucketOnly
	}
	return AnotherRule
}

// SameImage compares the names of images as the debugger and we write them: the
// kernel goes by several names, and logs name frames by modules, without extension.
func SameImage(ours, theirs string) bool {
	if kernel.ModuleName(ours) == "nt" && kernel.ModuleName(theirs) == "nt" {
		return true
	}
	stem := func(s string) string { return strings.ToLower(strings.TrimSuffix(s, path.Ext(s))) }
	return stem(ours) == stem(theirs)
}

func onStack(f *Facts, s windbglog.Said) bool {
	return slices.ContainsFunc(f.Frames, func(fr Frame) bool {
		return fr.Module != "" && (strings.EqualFold(fr.Module, s.Module) || SameImage(fr.Image, s.Image))
	})
}

// oldOffset ends the buckets of debuggers before 10.0.
var oldOffset = regexp.MustCompile(`\+[0-9a-f]+$`)

// IsOldBucket reports a bucket in a form that debuggers before 10.0 wrote: with
// the architecture before it or the offset behind it.
func IsOldBucket(bucket string) bool {
	return strings.HasPrefix(bucket, "X64_") || oldOffset.MatchString(bucket)
}

// isOldForm reports that a bucket is ours in an older form: the same module and
// function, with the offset behind them, under a class of older debuggers.
func isOldForm(f *Facts, v *report.Verdict, bucket string) bool {
	bucket = strings.TrimPrefix(bucket, "X64_")
	if strings.EqualFold(bucket, v.Bucket) {
		return true
	}
	for _, tail := range oldTails(f, v) {
		class, ok := strings.CutSuffix(strings.ToLower(bucket), "_"+strings.ToLower(tail))
		if ok && slices.ContainsFunc(oldClasses(f), func(c string) bool { return strings.EqualFold(c, class) }) {
			return true
		}
	}
	return false
}

// oldTails are the ways to write the culprit: module!function+1c, module+1c, and
// in between without the offset.
func oldTails(f *Facts, v *report.Verdict) []string {
	name := v.Module
	if v.Symbol != "" {
		name += "!" + v.Symbol
	}
	tails := []string{function(v.Module, v.Symbol), name}
	for _, fr := range f.Frames {
		if fr.Module == v.Module && fr.Symbol == v.Symbol {
			return append(tails, fmt.Sprintf("%s+%x", name, fr.Offset))
		}
	}
	return tails
}

// oldClasses are the classes that older debuggers had for a stop code (28
// published buckets): the code alone, the code with its first parameter or status,
// R or W for the access, AV.
func oldClasses(f *Facts) []string {
	var list []string
	for _, class := range []string{
		fmt.Sprintf("0x%X", f.Code), fmt.Sprintf("0x%X_%x", f.Code, f.Parameters[0]), fmt.Sprintf("0x%X_%x", f.Code, status(f)),
		fmt.Sprintf("0x%X_%x_R", f.Code, status(f)), fmt.Sprintf("0x%X_%x_W", f.Code, status(f)),
		"AV", "AV_R_INVALID", "AV_W_INVALID", classOf(f),
	} {
		list = append(list, verified(f, strings.TrimSuffix(class, "_VRF")))
	}
	return list
}
