package lab

import (
	"fmt"
	"strings"

	"bugcheck/lab/code"
)

// What threads do that wait: the functions from the outermost inward, up to the switch to
// another thread, which all share. Of a process that has no code of its own, a worker of the
// thread pool is all that can be told.
var (
	workerStack = []string{"nt!KiStartSystemThread", "nt!PspSystemThreadStartup", "nt!ExpWorkerThread", "nt!KeRemovePriQueue"}
	// systemStacks are those of System's threads from firstOwn on, which have work of their own.
	systemStacks = [][]string{
		{"nt!KiStartSystemThread", "nt!PspSystemThreadStartup", "nt!MiZeroPageThread", "nt!KeWaitForMultipleObjects"},
		{"nt!KiStartSystemThread", "nt!PspSystemThreadStartup", "nt!KeBalanceSetManager", "nt!KeWaitForMultipleObjects"},
		{"nt!KiStartSystemThread", "nt!PspSystemThreadStartup", "nt!PopIrpWorker", "nt!KeWaitForSingleObject"},
		{"nt!KiStartSystemThread", "nt!PspSystemThreadStartup", "nt!PopIrpWorker", "nt!KeWaitForSingleObject"},
		{"nt!KiStartSystemThread", "nt!PspSystemThreadStartup", "nt!PnpDeviceActionWorker", "nt!KeWaitForSingleObject"},
	}
	poolStack = []string{"ntdll!RtlUserThreadStart", "kernel32!BaseThreadInitThunk", "ntdll!TppWorkerThread", "ntdll!NtWaitForWorkViaWorkerFactory",
		systemCall, "nt!NtWaitForWorkViaWorkerFactory", "nt!IoRemoveIoCompletion", "nt!KeRemoveQueueEx"}
	mainStack = []string{"ntdll!RtlUserThreadStart", "kernel32!BaseThreadInitThunk", "EXE!mainCRTStartup", "EXE!main", "kernelbase!WaitForSingleObjectEx",
		"ntdll!NtWaitForSingleObject", systemCall, "nt!NtWaitForSingleObject", "nt!ObWaitForSingleObject", "nt!KeWaitForSingleObject"}
	dialogStack = []string{"ntdll!RtlUserThreadStart", "kernel32!BaseThreadInitThunk", "EXE!mainCRTStartup", "EXE!main", "EXE!DialogLoop",
		"kernelbase!WaitForSingleObjectEx", "ntdll!NtWaitForSingleObject", systemCall, "nt!NtWaitForSingleObject", "nt!ObWaitForSingleObject", "nt!KeWaitForSingleObject"}
	idleStack   = []string{"nt!KiIdleLoop", "nt!PoIdle", "nt!PpmIdleExecuteTransition", "nt!HalProcessorIdle"}
	switchStack = []string{"nt!KiCommitThreadWait", "nt!KiSwapThread", "nt!KiSwapContext", "nt!SwapContext"}
)

const (
	systemCall = "syscall" // stands for the way into the kernel
	firstOwn   = 5         // which of System's threads is the first that is no worker
)

// waitsIn returns what a thread waits in.
func (s *System) waitsIn(t *EThread, n int) []string {
	exe, _ := s.compiledUser(t.Process, stem(t.Process.Name))
	switch {
	case t.Process.Name == "System" && n >= firstOwn && n < firstOwn+len(systemStacks):
		return systemStacks[n-firstOwn]
	case t.Process.Path == "":
		return workerStack
	case exe == nil || n%2 == 1:
		return poolStack
	case strings.HasPrefix(t.Process.Name, "notmyfault"):
		return dialogStack
	}
	return mainStack
}

// layWait leaves on a thread's stacks what a thread that waits has there, and says in t where
// it was when another thread took its processor and where its trap frame is.
func (s *System) layWait(t *EThread, n int) {
	names := append(append([]string(nil), s.waitsIn(t, n)...), switchStack...)
	if t.Process.Peb == 0 && t.Process.Path != "" || s.err != nil {
		return
	}
	frames, entry, err := s.frames(t, names)
	if err != nil {
		s.fail(err)
		return
	}
	top := t.InitialStack
	if entry >= 0 {
		top = t.userTop
	}
	forged, err := code.Forge(s.Arch, top, frames, code.Registers{}, nil)
	if err != nil {
		s.fail(fmt.Errorf("stack of thread %d of %s: %w", t.ID, t.Process.Name, err))
		return
	}
	for _, r := range forged.Runs {
		s.fail(t.Process.Space.Write(r.Start, r.Data))
	}
	if entry >= 0 {
		t.TrapFrame = forged.Frames[entry].TrapFrame
	}
	t.KernelStack = forged.Frames[len(frames)-1].Registers.SP
	t.stopped = forged.Frames[len(frames)-1-len(switchStack)].Registers
}

// layIdle leaves on an idle thread's stack what a processor has there that sleeps.
func (s *System) layIdle(t *EThread) {
	frames, _, err := s.frames(t, append([]string(nil), idleStack...))
	if err == nil {
		last := &frames[len(frames)-1] // it has done nothing yet
		last.PC, _, _ = last.Image.Function("HalProcessorIdle")
		var forged *code.Forged
		if forged, err = code.Forge(s.Arch, t.InitialStack, frames, code.Registers{}, nil); err == nil {
			for _, r := range forged.Runs {
				s.put(r.Start, r.Data)
			}
			t.stopped = forged.Frames[len(frames)-1].Registers
			t.KernelStack = t.stopped.SP
		}
	}
	s.fail(err)
}

// frames turns names of functions into frames, each behind its call of the next. entry is
// the frame of the way into the kernel, -1 without one.
func (s *System) frames(t *EThread, names []string) (frames []code.Frame, entry int, err error) {
	entry = -1
	var named []string
	for _, n := range names {
		switch {
		case n != systemCall:
			named = append(named, strings.Replace(n, "EXE!", stem(t.Process.Name)+"!", 1))
		case s.Arch == "arm64":
			entry = len(named)
			named = append(named, "nt!KiSystemServiceEntry", "nt!KiSystemService")
		default:
			entry = len(named)
			named = append(named, "nt!KiSystemServiceCopyEnd")
		}
	}
	for i, n := range named {
		module, function, _ := strings.Cut(n, "!")
		image, base := s.compiledKernel(module)
		if image == nil {
			image, base = s.compiledUser(t.Process, module)
		}
		if image == nil {
			return nil, 0, fmt.Errorf("no code for %s", n)
		}
		f := code.Frame{Image: image, Base: base}
		next := ""
		if i+1 < len(named) {
			_, next, _ = strings.Cut(named[i+1], "!")
		}
		if f.PC, err = s.standsAt(image, function, next); err != nil {
			return nil, 0, err
		}
		if i == entry {
			f.Trap, f.Stack = &code.Trap{User: true}, t.InitialStack
		}
		frames = append(frames, f)
	}
	return frames, entry, nil
}

// standsAt returns where a function stands: behind its call of the next; SwapContext, the
// last, behind what it pushes; a function of ntdll behind its system call.
func (s *System) standsAt(image *code.Image, function, next string) (uint32, error) {
	if next == "" {
		start, _, ok := image.Function(function)
		if s.Arch == "arm64" {
			start += 3
		}
		if !ok {
			return 0, fmt.Errorf("no function %s", function)
		}
		return start + 5, nil
	}
	if rva, ok := image.Symbol(function + "_return"); ok {
		return rva, nil
	}
	for _, callee := range []string{next, "*"} {
		if rva, ok := image.CallSite(function, callee); ok {
			return rva, nil
		}
	}
	return 0, fmt.Errorf("%s does not call %s", function, next)
}
