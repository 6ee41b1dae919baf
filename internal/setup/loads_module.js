// Reports whether a PKCS#11 module is loaded, within 20 seconds.
const [library] = arguments;
const modules = Cc["@mozilla.org/security/pkcs11moduledb;1"].getService(Ci.nsIPKCS11ModuleDB);
return (async () => {
	for (let looks = 0; looks < 200; looks++) {
		for (const module of await modules.listModules()) {
			if (module.libName == library) {
				return true;
			}
		}
		await new Promise(resolve => window.setTimeout(resolve, 100));
	}
	return false;
})();
