// The key is kept for this address and port alone, and the token leaves the address bar.
"use strict";
localStorage.setItem("localagent-key", document.querySelector("meta[name=localagent-key]").content);
location.replace("/");
