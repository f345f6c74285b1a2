package analyze

import (
	"strings"

	"bugcheck/kernel"
)

// windowsImages says of the modules whether they lie in Windows' own folders:
// by their paths, which the loader recorded. A module that the dump names
// without its folder is not in the map, unless its name is one of those that
// Windows has always had.
func windowsImages(m *kernel.Machine) map[string]bool {
	known := map[string]bool{}
	for _, mod := range m.Modules {
		name := strings.ToLower(mod.Name)
		switch {
		case mod.Path != "":
			known[name] = inWindows(mod.Path)
		case systemNames[name]:
			known[name] = true
		}
	}
	return known
}

// inWindows reports a file in the folders where Windows keeps its libraries.
// Drivers' libraries stand below one of them (System32\DriverStore) and are
// other makers'.
func inWindows(path string) bool {
	p := strings.ToLower(strings.ReplaceAll(path, "/", `\`))
	if strings.Contains(p, `\driverstore\`) {
		return false
	}
	for _, folder := range []string{`\windows\system32\`, `\windows\syswow64\`, `\windows\sysarm32\`, `\windows\winsxs\`, `\windows\systemapps\`, `\windows\microsoft.net\`, `\windows\assembly\`} {
		if strings.Contains(p, folder) {
			return true
		}
	}
	return false
}

// systemNames are libraries of Windows that nearly every process has, for dumps
// whose writer took the folders off (MiniDumpFilterModulePaths).
var systemNames = map[string]bool{
	"ntdll.dll": true, "kernel32.dll": true, "kernelbase.dll": true, "user32.dll": true, "win32u.dll": true, "gdi32.dll": true,
	"gdi32full.dll": true, "combase.dll": true, "ole32.dll": true, "oleaut32.dll": true, "rpcrt4.dll": true, "sechost.dll": true,
	"advapi32.dll": true, "ucrtbase.dll": true, "msvcrt.dll": true, "msvcp_win.dll": true, "ws2_32.dll": true, "mswsock.dll": true,
	"shell32.dll": true, "shlwapi.dll": true, "wow64.dll": true, "wow64win.dll": true, "wow64cpu.dll": true,
}

// runtimes are the C and C++ runtimes that programs bring along: a fault in one
// is its caller's, as in a library of Windows.
func isRuntime(image string) bool {
	name := strings.ToLower(image)
	for _, prefix := range []string{"vcruntime", "msvcp", "msvcr", "ucrtbase", "concrt", "vccorlib"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// carrier reports an image that works on what its caller hands it: a library of
// Windows or a runtime.
func (u *User) carrier(image string) bool {
	return u.Windows[strings.ToLower(image)] || isRuntime(image)
}
