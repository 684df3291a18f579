package rsql

// Limits of a filter. A filter over one of them is refused with CodeTooComplex.
//
// They are constants because the generated SQL relies on them: SQLite refuses an expression tree deeper than 1,000 and
// its parser has a stack of 100 entries, of which nested groups take some. At these limits the SQL of every filter fits
// both, also inside a subquery, and the 32,766 bound parameters of SQLite.
const (
	// MaxBytes is the size of a filter in bytes of UTF-8.
	MaxBytes = 8192
	// MaxDepth is how deep parentheses may nest, those of a value list not counted.
	MaxDepth = 20
	// MaxComparisons is the number of comparisons in a filter.
	MaxComparisons = 200
	// MaxListValues is the number of values of one =in= or =out=.
	MaxListValues = 500
	// MaxValues is the number of values of all comparisons together.
	MaxValues = 600
)
