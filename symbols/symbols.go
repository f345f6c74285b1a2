// Package symbols finds symbol files and images: symbol paths, stores, servers, packs.
package symbols
