// Prints its argument after eight seconds, as a program does that asks a person.

#include <windows.h>
#include <stdio.h>

int main(int count, char **arguments)
{
	Sleep(8000);
	return count == 2 && puts(arguments[1]) >= 0 ? 0 : 1;
}
