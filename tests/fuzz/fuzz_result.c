/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A stored result, which the user who ran the experiment may have written: it is refused, or every
 * report of it can be made.
 */
#include "injector/report/report.h"
#include "injector/report/stored.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error err = ERROR_INIT;
	json_t *root = NULL;
	char *text = NULL;
	size_t length;
	FILE *in, *out;

	if (!size)
		return 0;
	in = fmemopen((void *)(uintptr_t)data, size, "r");
	out = open_memstream(&text, &length);
	if (!in || !out)
		abort();
	if (stored_read(in, "fuzz", &root, &err) == 0) {
		report_text(root, out, true, 100);
		report_markdown(root, out);
		report_html(root, out);
		report_junit(root, out);
		json_decref(root);
	}
	fclose(in);
	fclose(out);
	free(text);
	return 0;
}
