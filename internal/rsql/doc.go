// Package rsql reads RSQL filters and turns them into SQL conditions.
//
// RSQL is the filter language of the assets surface, for example
//
//	q==nginx;(class=in=(A,B),created_at>2024-01-01);tags.env!=*test*
//
// The grammar is that of jirutka/rsql-parser 2.1.0. It differs in three points: the word operators "and" and "or" are
// case-insensitive, TAB, CR and LF outside quotes are blanks, and NUL is refused because PostgreSQL text cannot hold it.
//
// A filter goes through two steps, each with its own errors:
//
//   - [Parse] gives the tree of the filter, or an [Error] with the position and what was expected there.
//   - [Fields.Compile] checks the tree against a table of fields and gives a [Condition] for PostgreSQL or SQLite, in
//     which every value is a bound parameter.
//
// [ParseSort] reads the sort parameter and [Cursors] signs page cursors, both for the lists that a filter narrows.
//
// # Meaning
//
// The same filter selects the same rows on both databases:
//
//   - == without an asterisk is exact and case-sensitive. An asterisk stands for any run of characters, and a pattern
//     ignores the case of A to Z only: what lower() does with other letters depends on the database and its locale.
//     An asterisk is literal when it is escaped in quotes ("\*"), and in the values of =in= and =out=.
//   - A value in quotes without text ("") means empty: NULL, the empty string, an array without elements, an object without keys.
//   - != is the exact complement of ==, and =out= that of =in=, so both select rows where the field is NULL.
//   - <, <=, > and >= never select a row where the field is NULL.
//   - A pattern never matches NULL: x==* selects the rows where x is not NULL.
//   - On an array, == asks whether any element matches. An object is asked by key: tags.env==production.
//   - A date without a time is midnight UTC of that day in comparisons of order, and the whole day in ==, !=, =in=, =out=.
package rsql
