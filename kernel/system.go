package kernel

import (
	"regexp"
	"strconv"
	"strings"

	"bugcheck/mem"
	"bugcheck/win"
)

// ReleaseBuild is the build that the running release calls itself, which can be
// higher than its kernel's (19045 on 19041); false where the dump does not record it.
func (m *Machine) ReleaseBuild() (uint32, bool) {
	if m.User != nil { // what programs are told is the release's own
		return m.Header.Build, m.Header.Build != 0
	}
	b := m.BootBuild()
	return b, b >= m.Header.Build && b != 0
}

// ReleaseName is Windows' version in words.
func (m *Machine) ReleaseName() string {
	if build, ok := m.ReleaseBuild(); ok {
		return win.ReleaseName(build, m.Header.ProductType, true)
	}
	return win.ReleaseName(m.Header.Build, m.Header.ProductType, false)
}

// labPattern is NtBuildLab: 19041.1.amd64fre.vb_release.191206-1406.
var labPattern = regexp.MustCompile(`\d{4,5}\.\d{1,5}\.(?:amd64|arm64|x86)(?:fre|chk)\.[A-Za-z0-9_]{2,40}\.\d{6}-\d{4}`)

// maxLab is the largest captured block that is searched for the build lab: the
// string stands in a block of its own.
const maxLab = 0x400

// BuildLab finds NtBuildLabEx in the captured data of the kernel; "" if it was
// not captured.
func (m *Machine) BuildLab() string {
	if m.User != nil {
		return labPattern.FindString(m.User.BuildString)
	}
	if len(m.Modules) == 0 {
		return ""
	}
	nt := m.Modules[0]
	if m.whole() {
		return m.labInMemory()
	}
	for _, run := range m.Runs {
		if run.Address < nt.Base || run.Address >= nt.End() || run.Size > maxLab {
			continue
		}
		b, err := mem.Read(m.Memory, run.Address, int(run.Size))
		if err != nil {
			continue
		}
		if lab := labPattern.FindString(string(b)); m.isLab(lab) {
			return lab
		}
	}
	return ""
}

// isLab reports that a build label is this kernel's.
func (m *Machine) isLab(lab string) bool {
	number, _, _ := strings.Cut(lab, ".")
	return number == strconv.FormatUint(uint64(m.Header.Build), 10)
}

// labInMemory finds the label beside NtBuildLab, whose address the debugger data
// block holds.
func (m *Machine) labInMemory() string {
	at := m.variable(kdbgBuildLab)
	if at < maxLab {
		return ""
	}
	b := make([]byte, 2*maxLab)
	n, _ := m.Memory.ReadAt(b, at-maxLab)
	for _, lab := range labPattern.FindAllString(string(b[:n]), -1) {
		if m.isLab(lab) {
			return lab
		}
	}
	return ""
}

// Version is the kernel's version number: 10.0.19041.
func (m *Machine) Version() string {
	if m.User != nil {
		return m.User.Version
	}
	return win.VersionNumber(m.Header.Build)
}
