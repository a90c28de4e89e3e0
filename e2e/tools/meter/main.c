/* SPDX-License-Identifier: Apache-2.0 */
#include "meter.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name, *usage;
	int args;
	int (*run)(int argc, char **argv);
} verbs[] = {
	{"calls", "", 0, calls_main},
	{"serve", "PORT", 1, serve_main},
	{"blast", "ADDR PORT MILLISECONDS SIZE", 4, blast_main},
	{"turns", "ADDR PORT MILLISECONDS", 3, turns_main},
	{"stream", "ADDR PORT MILLISECONDS", 3, stream_main},
	{"denials", "PROGRAM INTERFACE MAC SOURCE DESTINATION SECONDS PROCESSES REPEAT", 8,
	 denials_main},
};

int main(int argc, char **argv)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (argc - 2 == verbs[i].args && strcmp(argv[1], verbs[i].name) == 0)
			return verbs[i].run(argc - 2, argv + 2);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		fprintf(stderr, "usage: slmeter %s %s\n", verbs[i].name, verbs[i].usage);
	return 2;
}
