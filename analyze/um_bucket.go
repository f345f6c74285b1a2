package analyze

import (
	"fmt"
	"strings"

	"bugcheck/report"
)

// userBucket writes CLASS_<code>_image.ext!function, with _AVRF behind the class
// under Application Verifier, and its hash in the space of programs. Forms and
// where they were seen: docs/minidumps.md. Without a class that was seen in a
// published log, or without a frame that is certain, there is none.
func (j *judgement) userBucket(r userRule) {
	if j.bucket == "" && r.class != nil {
		class := r.class(j.f)
		frame, ok := bucketFrame(j.f)
		if class == "" || !ok {
			return
		}
		if j.f.User.Verifier {
			class += "_AVRF"
		}
		j.bucket = fmt.Sprintf("%s_%x_%s", class, bucketCode(j.f), userFunction(frame))
	}
	if j.bucket != "" && j.bucket != noBucket {
		j.v.Bucket, j.v.BucketHash = j.bucket, BucketHash("um", j.bucket)
	}
}

// bucketCode is the exception's; a dump without one is to the debugger one that
// stands at a breakpoint (3 published logs).
func bucketCode(f *Facts) uint32 {
	if f.Exception == nil {
		return statusBreakpoint
	}
	return f.Exception.Code
}

// bucketFrame is the first certain frame outside the libraries that carry every
// exception and wait.
func bucketFrame(f *Facts) (Frame, bool) {
	for _, frame := range userCertain(f) {
		switch strings.ToLower(frame.Image) {
		case "ntdll.dll", "kernelbase.dll", "kernel32.dll":
			continue
		}
		return frame, true
	}
	return Frame{}, false
}

// userFunction is image.ext!function: Unknown without symbols. In a function's
// name what is no letter, digit or one of _ : . , $ @ is written as an underscore
// (published: ~CallbackScope as _CallbackScope, FunctorMessageHandler<bool,…> as
// FunctorMessageHandler_bool,…_).
func userFunction(f Frame) string {
	if f.Symbol == "" {
		return f.Image + "!Unknown"
	}
	return f.Image + "!" + strings.Map(func(r rune) rune {
		if r > '~' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("_:.,$@()", r) {
			return r
		}
		return '_'
	}, f.Symbol)
}

// classUserAV: zero is NULL_POINTER, the rest of the null pages NULL_CLASS_PTR
// (the offset of a field in an object that is not there), all else
// INVALID_POINTER; executing is SOFTWARE_NX_FAULT. Of a call to address zero no
// log was seen.
func classUserAV(f *Facts) string {
	x := f.Exception
	if x.Target == nil {
		return ""
	}
	kind := map[string]string{"read": "_READ", "write": "_WRITE"}[x.Access]
	switch {
	case x.Access == "execute" && *x.Target >= nullPages:
		return "SOFTWARE_NX_FAULT"
	case kind == "":
		return ""
	case *x.Target == 0:
		return "NULL_POINTER" + kind
	case *x.Target < nullPages:
		return "NULL_CLASS_PTR" + kind
	}
	return "INVALID_POINTER" + kind
}

// classFastFail: 2 has a longer name (1 published log); the others that were
// seen are FAIL_FAST and the name of the check.
func classFastFail(f *Facts) string {
	name := strings.TrimPrefix(f.User.Reason, "FAST_FAIL_")
	switch name {
	case f.User.Reason:
		return ""
	case "STACK_COOKIE_CHECK_FAILURE":
		return "FAIL_FAST_STACK_BUFFER_OVERRUN_STACK_COOKIE_CHECK_FAILURE_MISSING_GSFRAME"
	}
	return "FAIL_FAST_" + name
}

func class(name string) func(*Facts) string { return func(*Facts) string { return name } }

// heapBucket: who is on the stack only noticed; the debugger names the
// program behind a module of its own making (2 published logs).
func (j *judgement) heapBucket() {
	if j.f.User.Program != "" {
		j.bucket = fmt.Sprintf("HEAP_CORRUPTION_%x_heap_corruption!%s", statusHeapCorruption, j.f.User.Program)
	}
	j.decide(report.CauseMemoryCorruption, report.Low)
}
