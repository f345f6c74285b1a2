package win

import "fmt"

// Product types of a dump header (ProductType; VER_NT_* in winnt.h).
const (
	ProductWorkstation      = 1
	ProductDomainController = 2
	ProductServer           = 3
)

// release is what a build is called; "" where that product never shipped on it.
type release struct {
	build               uint32
	workstation, server string
}

// releases by build. Source: the release information pages of Microsoft's
// documentation for Windows 10, Windows 11 and Windows Server.
var releases = []release{
	{2600, "Windows XP", ""},
	{3790, "Windows XP x64", "Windows Server 2003"},
	{6000, "Windows Vista", ""},
	{6001, "Windows Vista SP1", "Windows Server 2008"},
	{6002, "Windows Vista SP2", "Windows Server 2008 SP2"},
	{6003, "Windows Vista SP2", "Windows Server 2008 SP2"},
	{7600, "Windows 7", "Windows Server 2008 R2"},
	{7601, "Windows 7 SP1", "Windows Server 2008 R2 SP1"},
	{9200, "Windows 8", "Windows Server 2012"},
	{9600, "Windows 8.1", "Windows Server 2012 R2"},
	{10240, "Windows 10 1507", ""},
	{10586, "Windows 10 1511", ""},
	{14393, "Windows 10 1607", "Windows Server 2016"},
	{15063, "Windows 10 1703", ""},
	{16299, "Windows 10 1709", "Windows Server 1709"},
	{17134, "Windows 10 1803", "Windows Server 1803"},
	{17763, "Windows 10 1809", "Windows Server 2019"},
	{18362, "Windows 10 1903", "Windows Server 1903"},
	{18363, "Windows 10 1909", "Windows Server 1909"},
	{19041, "Windows 10 2004", "Windows Server 2004"},
	{19042, "Windows 10 20H2", "Windows Server 20H2"},
	{19043, "Windows 10 21H1", ""},
	{19044, "Windows 10 21H2", ""},
	{19045, "Windows 10 22H2", ""},
	{20348, "", "Windows Server 2022"},
	{22000, "Windows 11 21H2", ""},
	{22621, "Windows 11 22H2", ""},
	{22631, "Windows 11 23H2", ""},
	{25398, "", "Windows Server, version 23H2"},
	{26100, "Windows 11 24H2", "Windows Server 2025"},
	{26200, "Windows 11 25H2", ""},
	{28000, "Windows 11 26H1", ""},
}

// sharedKernels name the releases that one kernel build serves. The smaller
// updates only switch features on, so the build in a dump's header does not
// tell them apart.
var sharedKernels = map[uint32]release{
	18362: {18362, "Windows 10 1903 or 1909", "Windows Server 1903 or 1909"},
	19041: {19041, "Windows 10 2004 to 22H2", "Windows Server 2004 or 20H2"},
	22621: {22621, "Windows 11 22H2 or 23H2", ""},
	26100: {26100, "Windows 11 24H2 or 25H2", "Windows Server 2025"},
}

// ReleaseName says a build in words: "Windows 11 24H2", "Windows Server 2019".
// product is the dump header's ProductType. exact says that build is the
// release's own, not only that of its kernel.
func ReleaseName(build, product uint32, exact bool) string {
	server := product == ProductServer || product == ProductDomainController
	if shared, ok := sharedKernels[build]; ok && !exact {
		return shared.name(server)
	}
	for _, r := range releases {
		if r.build == build {
			return r.name(server)
		}
	}
	return fmt.Sprintf("%s, build %d", family(build, server), build)
}

func (r release) name(server bool) string {
	if server && r.server != "" {
		return r.server
	}
	if r.workstation == "" || server {
		return family(r.build, server)
	}
	return r.workstation
}

// family names what a build without a release of its own belongs to.
func family(build uint32, server bool) string {
	switch {
	case server:
		return "Windows Server"
	case build >= 22000:
		return "Windows 11"
	case build >= 10240:
		return "Windows 10"
	}
	return "Windows"
}

// VersionNumber is the version that Windows reports for a build: 10.0.19041.
func VersionNumber(build uint32) string {
	major := "10.0"
	switch {
	case build >= 10240:
	case build >= 9600:
		major = "6.3"
	case build >= 9200:
		major = "6.2"
	case build >= 7600:
		major = "6.1"
	case build >= 6000:
		major = "6.0"
	case build >= 3790:
		major = "5.2"
	default:
		major = "5.1"
	}
	return fmt.Sprintf("%s.%d", major, build)
}

// ProductWord is the report's word for a ProductType; "" if it is none.
func ProductWord(product uint32) string {
	switch product {
	case ProductWorkstation:
		return "workstation"
	case ProductDomainController:
		return "domain_controller"
	case ProductServer:
		return "server"
	}
	return ""
}
