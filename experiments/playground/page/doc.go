// Command page is the part of the playground that runs in a browser: learning, for a script in
// a worker to call. The command playground compiles it to WebAssembly.
package main
