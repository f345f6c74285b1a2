package undname

import "strings"

// codes are the places of the tables below.
const codes = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// specialNames are the names behind one ?: operators. A constructor and a
// destructor take the name of their class, a conversion that of its type.
var specialNames = [36]string{
	"{ctor}", "~", "operator new", "operator delete", "operator=", "operator>>",
	"operator<<", "operator!", "operator==", "operator!=",
	"operator[]", "operator", "operator->", "operator*", "operator++",
	"operator--", "operator-", "operator+", "operator&", "operator->*",
	"operator/", "operator%", "operator<", "operator<=", "operator>",
	"operator>=", "operator,", "operator()", "operator~", "operator^",
	"operator|", "operator&&", "operator||", "operator*=", "operator+=",
	"operator-=",
}

// specialNames1 are the names behind ?_.
var specialNames1 = [36]string{
	"operator/=", "operator%=", "operator>>=", "operator<<=", "operator&=",
	"operator|=", "operator^=", "", "", "",
	"`typeof'", "", "", "`vbase destructor'", "`vector deleting destructor'",
	"`default constructor closure'", "`scalar deleting destructor'",
	"`vector constructor iterator'", "`vector destructor iterator'",
	"`vector vbase constructor iterator'",
	"`virtual displacement map'", "`eh vector constructor iterator'",
	"`eh vector destructor iterator'", "`eh vector vbase constructor iterator'",
	"`copy constructor closure'", "", "", "", "", "`local vftable constructor closure'",
	"operator new[]", "operator delete[]", "", "", "", "",
}

// specialNames2 are the names behind ?__.
var specialNames2 = [36]string{
	"", "", "", "", "", "", "", "", "", "",
	"`managed vector constructor iterator'", "`managed vector destructor iterator'",
	"`EH vector copy constructor iterator'", "`EH vector vbase copy constructor iterator'",
	"", "", "`vector copy constructor iterator'", "`vector vbase copy constructor iterator'",
	"`managed vector vbase copy constructor iterator'", "",
	"", "operator co_await", "operator<=>",
}

// abbreviated is a special name as LLVM writes it. It writes two of them out.
func abbreviated(name string) string {
	switch name {
	case "`vector vbase copy constructor iterator'", "`managed vector vbase copy constructor iterator'":
		return name
	}
	name = strings.Replace(name, "constructor", "ctor", 1)
	return strings.Replace(name, "destructor", "dtor", 1)
}

// primitives are the types of one letter, from C.
var primitives = [...]string{
	'C': "signed char", 'D': "char", 'E': "unsigned char", 'F': "short",
	'G': "unsigned short", 'H': "int", 'I': "unsigned int", 'J': "long",
	'K': "unsigned long", 'M': "float", 'N': "double", 'O': "long double",
	'X': "void", 'Z': "",
}

// primitives1 are the types of a letter behind _.
var primitives1 = [...]string{
	'D': "__int8", 'E': "unsigned __int8", 'F': "__int16", 'G': "unsigned __int16",
	'H': "__int32", 'I': "unsigned __int32", 'J': "__int64", 'K': "unsigned __int64",
	'L': "__int128", 'M': "unsigned __int128", 'N': "bool", 'P': "auto",
	'Q': "char8_t", 'S': "char16_t", 'T': "decltype(auto)", 'U': "char32_t",
	'W': "wchar_t", 'Z': "",
}

// conventions are the calling conventions; the second letter of a pair marks
// a function that is exported.
var conventions = [...]string{
	'A': "__cdecl", 'B': "__cdecl", 'C': "__pascal", 'D': "__pascal",
	'E': "__thiscall", 'F': "__thiscall", 'G': "__stdcall", 'H': "__stdcall",
	'I': "__fastcall", 'J': "__fastcall", 'M': "__clrcall", 'N': "__clrcall",
	'O': "__eabi", 'P': "__eabi", 'Q': "__vectorcall",
	'S': "__attribute__((__swiftcall__)) ", 'W': "__attribute__((__swiftasynccall__)) ",
	'w': "__regcall", 'z': "",
}
