// Package assets measures lists of assets, by default one million, against hand-written SQL that gives the same answer on
// the same PostgreSQL in the same run. Ours has the HTTP request, the authorization and the JSON in it. Every figure ends
// as a line
//
//	RATIO <name> <value> goal <bound> ok|short
//
// N=5000000 measures with more, PLANS=1 prints the plan of each query. KEEP=postgres://... fills that database, or measures
// the queries alone where an earlier run has filled it.
package assets
