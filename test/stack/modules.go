package stack

// AgentModule is Debian's module that passes everything on to the agent.
const AgentModule = "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so"
