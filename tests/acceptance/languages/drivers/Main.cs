using System;
using System.Linq;
using System.Text;

public static class Program
{
    static string text(string[] fields, int index)
    {
        if (index >= fields.Length) return null;
        string field = fields[index];
        byte[] bytes = Enumerable.Range(0, field.Length / 2).Select(at => Convert.ToByte(field.Substring(2 * at, 2), 16)).ToArray();
        return Encoding.UTF8.GetString(bytes);
    }

    public static void Main()
    {
        string line;
        while ((line = Console.In.ReadLine()) != null)
        {
            string[] fields = line.Split(' ');
            Console.WriteLine(Signer.Sign(ARGUMENTS));
        }
    }
}
