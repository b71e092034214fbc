/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/http_tls_library.h"

#include <dlfcn.h>
#include <errno.h>

struct http_tls_library http_tls_openssl;

int http_tls_library_load(struct error *err)
{
	void *library = dlopen("libssl.so.3", RTLD_NOW | RTLD_LOCAL);
	const char *missing = NULL;

	if (!library) {
		error_set(err, ELIBACC, "TLS needs OpenSSL: %s", dlerror());
		return error_remedy(err, "apt install libssl3");
	}
#define LOAD(name)                                                                                 \
	*(void **)&http_tls_openssl.name = dlsym(library, #name);                                  \
	if (!http_tls_openssl.name)                                                                \
		missing = #name;
	HTTP_TLS_FUNCTIONS(LOAD)
#undef LOAD
	if (missing)
		return error_set(err, ELIBBAD, "libssl has no %s", missing);
	/* not its configuration: what is spoken does not depend on the machine */
	if (!http_tls_openssl.OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL))
		return error_set(err, EIO, "OpenSSL cannot be initialized");
	return 0;
}

const char *http_tls_library_reason(const char *otherwise)
{
	const char *reason =
		http_tls_openssl.ERR_reason_error_string(http_tls_openssl.ERR_peek_last_error());

	return reason ? reason : otherwise;
}
