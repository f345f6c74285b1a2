package rules

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/decls"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"bugcheck/win"
)

// functions are what conditions can call beside CEL's own:
//
//	verdict.image.glob("nv*.sys")        * and ? stand for any text and any character; no case
//	stack.frames("nt!Ke*")               the callers that match module!function, or module
//	version_less("10.29.0.5152", "10.30") by the numbers
//
// File names of Windows have no case, so == would miss MYFAULT.SYS.
func functions() []cel.EnvOption {
	frames := typeOf("[]Frame")
	return []cel.EnvOption{
		cel.Function("glob", cel.MemberOverload("string_glob_string", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType,
			cel.BinaryBinding(func(s, pattern ref.Val) ref.Val { return types.Bool(glob(text(s), text(pattern))) }))),
		// Frames are maps when a condition runs, which CEL's own check of arguments would refuse.
		cel.Function("frames", decls.DisableTypeGuards(true), cel.MemberOverload("frames_string", []*cel.Type{frames, cel.StringType}, frames,
			cel.BinaryBinding(matchingFrames))),
		cel.Function("version_less", cel.Overload("version_less_string_string", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType,
			cel.BinaryBinding(versionLess))),
	}
}

// text is the string in a value of a function's argument; CEL has checked its type,
// but a report from a file may hold anything in a list.
func text(v ref.Val) string {
	s, _ := v.Value().(string)
	return s
}

// costs tells CEL what its own estimate does not know: glob goes over the text once
// for each * of the pattern at worst, and frames does so for every frame.
type costs struct{}

// frameCost is a length that names of functions seldom exceed, in characters.
const frameCost = 64

// CallCost implements cost.ActualCostEstimator.
func (costs) CallCost(function, _ string, args []ref.Val, _ ref.Val) *uint64 {
	if len(args) != 2 {
		return nil
	}
	var n uint64
	switch function {
	case "glob":
		n = 1 + uint64(len(text(args[0])))*uint64(1+strings.Count(text(args[1]), "*"))/8
	case "frames":
		size := uint64(1)
		if list, ok := args[0].(traits.Sizer); ok {
			count, _ := list.Size().Value().(int64)
			size = uint64(max(count, 1))
		}
		n = size * (1 + frameCost*uint64(1+strings.Count(text(args[1]), "*"))/8)
	default:
		return nil
	}
	return &n
}

// glob matches a whole text against a pattern without regard to case. Its time is
// bounded by the product of both lengths.
func glob(s, pattern string) bool {
	star, resume := -1, 0 // the last * and how much of s it was made to take
	i, j := 0, 0
	for i < len(s) {
		r, n := utf8.DecodeRuneInString(s[i:])
		p, m := utf8.DecodeRuneInString(pattern[j:])
		switch {
		case j < len(pattern) && p == '*':
			star, resume = j, i
			j++
		case j < len(pattern) && (p == '?' || unicode.ToLower(p) == unicode.ToLower(r)):
			i, j = i+n, j+m
		case star >= 0:
			_, n = utf8.DecodeRuneInString(s[resume:])
			resume += n
			i, j = resume, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[j:], "*") == ""
}

// matchingFrames are the frames of a stack that a pattern names.
func matchingFrames(stack, pattern ref.Val) ref.Val {
	list, ok := stack.(traits.Lister)
	if !ok {
		return types.MaybeNoSuchOverloadErr(stack)
	}
	found := []any{}
	for it := list.Iterator(); it.HasNext() == types.True; {
		if f, ok := it.Next().Value().(map[string]any); ok && frameMatches(f, text(pattern)) {
			found = append(found, f)
		}
	}
	return types.DefaultTypeAdapter.NativeToValue(found)
}

// frameMatches reports whether a pattern, module!function or module alone, names a
// frame. Without symbols a frame has no function: it matches only a module alone.
func frameMatches(frame map[string]any, pattern string) bool {
	module, _ := frame["module"].(string)
	if module == "" {
		return false // in no module
	}
	wantModule, wantFunction, both := strings.Cut(pattern, "!")
	if !glob(module, wantModule) {
		return false
	}
	function, _ := frame["symbol"].(string)
	return !both || function != "" && glob(function, wantFunction)
}

// versionLess compares two versions by their numbers; a missing number is 0.
func versionLess(a, b ref.Val) ref.Val {
	left, right := version(text(a)), version(text(b))
	for _, v := range []struct {
		numbers []uint64
		text    string
	}{{left, text(a)}, {right, text(b)}} {
		if len(v.numbers) == 0 {
			return types.NewErr("version_less: %s is no version", win.Clean(strconv.Quote(v.text)))
		}
	}
	for i := range max(len(left), len(right)) {
		if l, r := at(left, i), at(right, i); l != r {
			return types.Bool(l < r)
		}
	}
	return types.False
}

func at(list []uint64, i int) uint64 {
	if i < len(list) {
		return list[i]
	}
	return 0
}

// version reads the numbers at the beginning of a text: version resources often go
// on with words, as in "6.1.7600.16385 (win7_rtm.090713-1255)".
func version(s string) []uint64 {
	end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end >= 0 {
		s = s[:end]
	}
	var list []uint64
	for _, part := range strings.Split(strings.Trim(s, "."), ".") {
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			return nil
		}
		list = append(list, n)
	}
	return list
}
