#!/bin/sh
# Answers the agent of GnuPG with the PIN, by the protocol of pinentry (Assuan).
echo 'OK ready'
while read -r verb _; do
	case $verb in
	GETPIN)
		if pin=$('ASKPASS'); then
			printf 'D %s\nOK\n' "$(printf '%s' "$pin" | sed 's/%/%25/g')"
		else
			echo 'ERR 83886179 Operation cancelled'
		fi
		;;
	BYE)
		echo OK
		exit
		;;
	*) echo OK ;;
	esac
done
