// Types the password, in base64, into the next prompt for one that names the token. Cancels
// the others, and those after it.
let password = new TextDecoder().decode(Uint8Array.from(atob(arguments[0]), c => c.charCodeAt(0)));
const token = arguments[1];
const prompts = window.passwordPrompts = [];
Services.obs.addObserver(({ Dialog: { args, ui } }) => {
	if (args.promptType != "promptPassword") {
		return;
	}
	prompts.push(args.text);
	if (password === null || !args.text.includes(token)) {
		ui.button1.click();
		return;
	}
	ui.password1Textbox.value = password;
	password = null;
	ui.button0.click();
}, "common-dialog-loaded");
